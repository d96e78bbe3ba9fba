// Streams of changes as server-sent events. Each event contains the whole state, so that a client that has missed some
// events has missed no state.
import type { Response } from 'express'
import type { Control, StateChange, StatusView } from '../../control/control.ts'
import type { ContextState } from '../../model/shared-state.ts'
import { EVENT_STREAM } from '../contract/api-paths.ts'
import type { ChangeEvent } from '../contract/change-event.ts'
import { networkOf } from './network-map.ts'
import { ApiRefusal, retryAfter } from './problem.ts'

/** Each stream occupies one of the limited connections of the admin port. */
export const MAX_STREAMS = 64
/** Streams of one token (the subject of a signed token), so that one token cannot occupy all. */
export const MAX_STREAMS_PER_TOKEN = 32
/** Streams of one IPv4 address, or one IPv6 /64 network. */
export const MAX_STREAMS_PER_ADDRESS = 48
/** Bytes that may wait for a slow client. It is disconnected beyond that, and gets the newest state when it reconnects. */
const MAX_WAITING_BYTES = 256 * 1024
const HEARTBEAT_MS = 15_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The owner of a stream: the name of the token's bearer, and the address of the client. */
type StreamHolder = { readonly name: string; readonly address: string }

type StreamOptions = StreamHolder & {
  /** The id of the newest event that the client has; a value that is not a generation is ignored. */
  readonly lastId: string | undefined
  /** When the token of the client expires, in milliseconds since 1970. The stream ends then. */
  readonly until: number | undefined
}

type OpenStream = { readonly response: Response; readonly holder: StreamHolder; hasEvent: boolean }

export class EventStreams {
  readonly #control: Control
  readonly #wallTime: () => number
  readonly #streams = new Set<OpenStream>()
  readonly #unwatch: () => void
  #heartbeat: NodeJS.Timeout | undefined

  constructor(control: Control, wallTime: () => number) {
    this.#control = control
    this.#wallTime = wallTime
    this.#unwatch = control.watch((change) => this.#broadcast(change))
  }

  get size(): number {
    return this.#streams.size
  }

  /** Opens a stream. It begins with the current state, unless the client has it already. */
  open({ lastId, until, name, address }: StreamOptions) {
    const holder = { name, address: networkOf(address) }
    const excess = this.#exceededLimit(holder)
    if (excess !== undefined) return new ApiRefusal('too-many-streams', excess, retryAfter(10))
    const lastGeneration = /^\d{1,15}$/.test(lastId ?? '') ? Number(lastId) : -1
    return {
      headers: { 'Content-Type': EVENT_STREAM, 'X-Accel-Buffering': 'no' },
      pour: (response: Response) => this.#pour(response, holder, lastGeneration, until),
    }
  }

  /** The limit that one more stream of this holder would exceed; undefined below all limits. */
  #exceededLimit(holder: StreamHolder): string | undefined {
    if (this.#streams.size >= MAX_STREAMS) return `${MAX_STREAMS} are open; end one`
    let [ofToken, ofAddress] = [0, 0]
    for (const { holder: other } of this.#streams) {
      if (other.name === holder.name) ofToken++
      if (other.address === holder.address) ofAddress++
    }
    if (ofToken >= MAX_STREAMS_PER_TOKEN) return `${MAX_STREAMS_PER_TOKEN} are open with this token; end one`
    if (ofAddress >= MAX_STREAMS_PER_ADDRESS) return `${MAX_STREAMS_PER_ADDRESS} are open from this address; end one`
    return undefined
  }

  /** Ends each stream after a complete event; clients know `retry` from its beginning. @returns the number of streams */
  end(): number {
    for (const { response } of this.#streams) response.end()
    return this.#streams.size
  }

  close(): void {
    this.#unwatch()
    clearInterval(this.#heartbeat)
    this.end()
  }

  async #pour(response: Response, holder: StreamHolder, lastGeneration: number, until: number | undefined) {
    // A response that is destroyed already emits no further close event, which would remove the stream.
    if (response.destroyed) return
    // Checked again: several requests can pass the first check while all of them wait for the keys of an issuer.
    if (this.#exceededLimit(holder) !== undefined) return void response.end('retry: 10000\n\n')
    const stream = { response, holder, hasEvent: false }
    this.#add(stream, until)
    write(stream, ': changes, as they happen\nretry: 2000\n\n')
    const status = await this.#control.status()
    const isKilledHere = status.localKill.length > 0 || status.killFileProblems.length > 0
    const isNew = status.generation !== lastGeneration || isKilledHere
    // An event that was sent in the meantime is newer than this status.
    if (!stream.hasEvent && isNew) this.#send(stream, eventOfStatus(status))
  }

  #add(stream: OpenStream, until: number | undefined): void {
    const { response } = stream
    this.#streams.add(stream)
    this.#heartbeat ??= setInterval(() => this.#sendHeartbeats(), HEARTBEAT_MS).unref()
    const end = until === undefined ? undefined : setTimeout(() => response.end(), this.#remainingMs(until)).unref()
    response.once('close', () => {
      clearTimeout(end)
      this.#streams.delete(stream)
      if (this.#streams.size > 0) return
      clearInterval(this.#heartbeat)
      this.#heartbeat = undefined
    })
  }

  #remainingMs(until: number): number {
    return Math.min(Math.max(0, until - this.#wallTime()), LONGEST_TIMER_MS)
  }

  #broadcast(change: StateChange): void {
    if (this.#streams.size === 0) return
    const event = eventOfChange(change)
    for (const stream of this.#streams) this.#send(stream, event)
  }

  #send(stream: OpenStream, event: ChangeEvent): void {
    stream.hasEvent = true
    write(stream, `id: ${event.generation}\nevent: change\ndata: ${JSON.stringify(event)}\n\n`)
  }

  #sendHeartbeats(): void {
    for (const stream of this.#streams) write(stream, ': heartbeat\n\n')
  }
}

/** Disconnects a client that does not read, before its unsent events fill the memory of the gateway. */
function write({ response }: OpenStream, text: string): void {
  if (response.writableLength > MAX_WAITING_BYTES) return void response.destroy()
  if (!response.writableEnded && !response.destroyed) response.write(text)
}

function eventOfChange({ state, localKill, killFileProblems }: StateChange): ChangeEvent {
  const { generation, kill } = state
  const contexts = Object.entries(state.contexts).map(([name, context]) => ({ name, ...context }))
  const last = contexts.find(({ changed }) => changed?.generation === generation)
  return {
    generation,
    kill,
    contexts: contexts.map(contextEntry),
    changed: last === undefined ? null : lastChange(last),
    localKill: [...localKill],
    killFileProblems: [...killFileProblems],
  }
}

type NamedContext = ContextState & { readonly name: string }

function contextEntry(context: NamedContext): ChangeEvent['contexts'][number] {
  const { name, pin, freeze, flip, shadow = null, changed } = context
  return { name, pin, freeze, flip, shadow, generation: changed?.generation ?? 0 }
}

function lastChange({ name, changed }: NamedContext): ChangeEvent['changed'] {
  return changed && { context: name, verb: changed.verb, by: changed.by, reason: changed.reason, at: changed.at }
}

function eventOfStatus({ generation, kill, contexts, localKill, killFileProblems }: StatusView): ChangeEvent {
  const changedContexts = contexts.filter((context) => context.generation > 0)
  return {
    generation,
    kill,
    contexts: changedContexts.map(({ name, pin, freeze, flip, shadow, generation }) => {
      return { name, pin, freeze, flip, shadow, generation }
    }),
    changed: null,
    localKill: [...localKill],
    killFileProblems: [...killFileProblems],
  }
}
