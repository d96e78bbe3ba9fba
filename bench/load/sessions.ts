// The same sessions as sessions.lua sends.
export const SESSIONS = 64

export function cookieOf(n: number): string {
  return `sid=session-${String((n % SESSIONS) + 1).padStart(2, '0')}-of-the-bench`
}
