// Advice for an operator if Redis refuses the login, or a right that the gateway needs.

const MAX_REASON_LENGTH = 160

/**
 * @param message as Redis or ioredis wrote it; Sentinels and Clusters wrap the reply of Redis in words of their own
 * @returns one sentence that says what to set; undefined if Redis refused neither the login nor a right
 */
export function explainRefusal(message: string, location: string, prefix: string): string | undefined {
  if (/\bNOAUTH\b/.test(message)) {
    return `Redis at ${location} requires a password: set it in REDIS_URL, as in redis://user:password@host:6379 (NOAUTH)`
  }
  if (/\bWRONGPASS\b|AUTH failed/.test(message)) {
    return `Redis at ${location} rejects the user name or password: correct them in REDIS_URL (WRONGPASS)`
  }
  if (/\bNOPERM\b|can't publish to the channel/.test(message)) {
    const rights = `~{${prefix}}:* &{${prefix}}:* +@all -@admin -@dangerous +info`
    return `Redis at ${location} denies its user a right that the gateway needs. Set with ACL SETUSER: ${rights} (${message.slice(0, MAX_REASON_LENGTH)})`
  }
  return undefined
}
