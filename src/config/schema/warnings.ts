// Warnings: the map is valid, but a key probably has another effect than the operator expects.
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import type { ValidContext, ValidIdentity } from './valid-config.ts'

/** Reports combinations of valid keys that contradict each other. */
export function warnOfContexts(contexts: readonly ValidContext[], warn: ReportMistake): void {
  for (const { name, fallback, rollback } of contexts) {
    if (fallback !== 'all' || rollback !== 'forward-only') continue
    const message =
      'gives writes to legacy while the service cannot be reached, but rollback: "forward-only" states that legacy must not take over; write fallback: "reads" or false'
    warn({ path: joinPath(joinPath('contexts', name), 'fallback'), found: '"all"', message })
  }
}

/**
 * Reports routes of protocols whose clients keep no cookies: with an anonymous id by cookie each request of a
 * conversation is a new client, so a push or a polling session changes sides while the context is split.
 */
export function warnOfConversations(
  contexts: readonly ValidContext[],
  identity: ValidIdentity,
  warn: ReportMistake,
): void {
  for (const { name, routes } of contexts) {
    for (const [index, route] of routes.entries()) {
      if ((route.anonymous ?? identity.anonymous) !== 'cookie' || (route.auth !== undefined && !route.auth.optional))
        continue
      const clients = CONVERSATIONS.find(({ segment }) =>
        route.pattern?.text.split('/').some((part) => segment.test(part)),
      )?.clients
      if (clients === undefined) continue
      const message = `is used by ${clients}, which keep no cookies: requests of one conversation can go to different sides; write anonymous: "ip" for this route or its context`
      warn({
        path: joinPath(joinPath(joinPath('contexts', name), 'routes'), index),
        found: formatValue(route.pattern.text),
        message,
      })
    }
  }
}

const CONVERSATIONS = [
  { segment: /^(?:socket|engine)\.io$/i, clients: 'Socket.IO clients outside browsers' },
  { segment: /\.git$|^git-(?:upload|receive)-pack$/i, clients: 'git clients' },
  { segment: /^(?:sockjs|signalr|cometd)$/i, clients: 'long-polling clients outside browsers' },
] as const
