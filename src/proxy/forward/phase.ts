// The phases of an exchange and of each attempt in it. Every other flag of the two is independent of these.

/**
 * - `starting`: waits for the end of this turn of the parser, since the body may arrive together with the head.
 * - `attempting`: an upstream is asked; retry and fallback are still possible.
 * - `responding`: the head of the upstream's response was passed to the client, its end was not.
 * - `answered`: the whole response of the upstream was passed on; the client may still be reading it.
 * - `failed`: the gateway has answered with an error, or has cut a response that cannot be completed.
 * - `closed`: the response was sent or the client has gone; the outcome is known.
 */
export type ExchangePhase = 'starting' | 'attempting' | 'responding' | 'answered' | 'failed' | 'closed'

/** A retry or a fallback is another attempt in the same phase. */
const AFTER_EXCHANGE_PHASE: Record<ExchangePhase, readonly ExchangePhase[]> = {
  starting: ['attempting', 'failed', 'closed'],
  attempting: ['attempting', 'responding', 'failed', 'closed'],
  responding: ['answered', 'failed', 'closed'],
  answered: ['closed'],
  failed: ['closed'],
  closed: [],
}

/**
 * - `new`: the address is chosen, no connection was asked for.
 * - `held`: the request body is incomplete and all places for uploads are taken.
 * - `queued`: all connections of the address are in use.
 * - `connecting`: has a connection; nothing of the request was written, so nothing can have arrived.
 * - `awaiting-head`: the connection is open; from here on some of the request may have arrived.
 * - `receiving`: the head of the response has arrived and was passed on.
 * - `finished`: the connection was given back.
 */
export type AttemptPhase = 'new' | 'held' | 'queued' | 'connecting' | 'awaiting-head' | 'receiving' | 'finished'

/** A connection that turns out to be stale is replaced, which leads from `awaiting-head` back to `connecting`. */
const AFTER_ATTEMPT_PHASE: Record<AttemptPhase, readonly AttemptPhase[]> = {
  new: ['held', 'queued', 'connecting', 'finished'],
  held: ['queued', 'connecting', 'finished'],
  queued: ['connecting', 'finished'],
  connecting: ['connecting', 'awaiting-head', 'finished'],
  'awaiting-head': ['connecting', 'receiving', 'finished'],
  receiving: ['finished'],
  finished: [],
}

/** @throws {Error} for a transition that the table does not contain: a bug */
export function nextExchangePhase(from: ExchangePhase, to: ExchangePhase): ExchangePhase {
  if (!AFTER_EXCHANGE_PHASE[from].includes(to)) throw new Error(`an exchange cannot go from "${from}" to "${to}"`)
  return to
}

/** @throws {Error} for a transition that the table does not contain: a bug */
export function nextAttemptPhase(from: AttemptPhase, to: AttemptPhase): AttemptPhase {
  if (!AFTER_ATTEMPT_PHASE[from].includes(to)) throw new Error(`an attempt cannot go from "${from}" to "${to}"`)
  return to
}
