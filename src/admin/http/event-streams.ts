// Changes, told as they happen: server-sent events, each with the whole of what operators have said, so that who has
// missed some has missed nothing.
import type { Response } from 'express'
import type { Control, StateChange, StatusView } from '../../control/control.ts'
import type { ContextState } from '../../model/shared-state.ts'
import { type ChangeEvent, EVENT_STREAM } from '../contract/contract.ts'
import { networkOf } from './by-network.ts'
import { Refusal, retryAfter } from './problem.ts'

/** Each is a connection of the few that the admin port has. */
export const MOST_STREAMS = 64
/** Of these for one token (the subject of a signed one), so that one token cannot take all. */
export const MOST_STREAMS_OF_TOKEN = 32
/** ... and for one client address, or one IPv6 network of 64 bits. */
export const MOST_STREAMS_OF_ADDRESS = 48
/** What may wait for a reader; one who is further behind is cut, and comes back to the newest. */
const MOST_WAITING_BYTES = 256 * 1024
const HEARTBEAT_MS = 15_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Who holds a stream: the name of the token's bearer, and the client's address. */
export type StreamHolder = { readonly name: string; readonly address: string }

export type StreamOptions = StreamHolder & {
  /** The newest event that the reader has; anything else that clients send counts as none. */
  readonly lastId: string | undefined
  /** When the token ends with which the stream was opened. Milliseconds since 1970. */
  readonly until: number | undefined
}

type Stream = { readonly response: Response; readonly holder: StreamHolder; isTold: boolean }

export class EventStreams {
  readonly #control: Control
  readonly #wallTime: () => number
  readonly #streams = new Set<Stream>()
  readonly #unwatch: () => void
  #heartbeat: NodeJS.Timeout | undefined

  constructor(control: Control, wallTime: () => number) {
    this.#control = control
    this.#wallTime = wallTime
    this.#unwatch = control.watch((change) => this.#tellAll(change))
  }

  get size(): number {
    return this.#streams.size
  }

  /** Begins with the current state, unless the reader has seen it. */
  open({ lastId, until, name, address }: StreamOptions) {
    const holder = { name, address: networkOf(address) }
    const excess = this.#excess(holder)
    if (excess !== undefined) return new Refusal('too-many-streams', excess, retryAfter(10))
    const seen = /^\d{1,15}$/.test(lastId ?? '') ? Number(lastId) : -1
    return {
      headers: { 'Content-Type': EVENT_STREAM, 'X-Accel-Buffering': 'no' },
      pour: (response: Response) => this.#pour(response, holder, seen, until),
    }
  }

  /** Which limit one more stream of this holder would exceed. */
  #excess(holder: StreamHolder): string | undefined {
    if (this.#streams.size >= MOST_STREAMS) return `${MOST_STREAMS} are open; end one`
    let [ofToken, ofAddress] = [0, 0]
    for (const { holder: other } of this.#streams) {
      if (other.name === holder.name) ofToken++
      if (other.address === holder.address) ofAddress++
    }
    if (ofToken >= MOST_STREAMS_OF_TOKEN) return `${MOST_STREAMS_OF_TOKEN} are open with this token; end one`
    if (ofAddress >= MOST_STREAMS_OF_ADDRESS) return `${MOST_STREAMS_OF_ADDRESS} are open from this address; end one`
    return undefined
  }

  /** Ends all streams behind the last event; `retry` was sent at the beginning of each. @returns how many there were */
  end(): number {
    for (const { response } of this.#streams) response.end()
    return this.#streams.size
  }

  close(): void {
    this.#unwatch()
    clearInterval(this.#heartbeat)
    this.end()
  }

  async #pour(response: Response, holder: StreamHolder, seen: number, until: number | undefined): Promise<void> {
    // Whoever left meanwhile will not leave again.
    if (response.destroyed) return
    // Many may have been let in at once, when the keys they all waited for were there.
    if (this.#excess(holder) !== undefined) return void response.end('retry: 10000\n\n')
    const stream = { response, holder, isTold: false }
    this.#streams.add(stream)
    this.#heartbeat ??= setInterval(() => this.#beat(), HEARTBEAT_MS).unref()
    const end = until === undefined ? undefined : setTimeout(() => response.end(), this.#until(until)).unref()
    response.once('close', () => {
      clearTimeout(end)
      this.#streams.delete(stream)
      if (this.#streams.size > 0) return
      clearInterval(this.#heartbeat)
      this.#heartbeat = undefined
    })
    send(stream, ': changes, as they happen\nretry: 2000\n\n')
    const status = await this.#control.status()
    // What happened meanwhile was told already, and is newer.
    const isKilledHere = status.localKill.length > 0 || status.killFileProblems.length > 0
    if (!stream.isTold && (status.generation !== seen || isKilledHere)) this.#tell(stream, eventOfStatus(status))
  }

  #until(until: number): number {
    return Math.min(Math.max(0, until - this.#wallTime()), LONGEST_TIMER_MS)
  }

  #tellAll(change: StateChange): void {
    if (this.#streams.size === 0) return
    const event = eventOf(change)
    for (const stream of this.#streams) this.#tell(stream, event)
  }

  #tell(stream: Stream, event: ChangeEvent): void {
    stream.isTold = true
    send(stream, `id: ${event.generation}\nevent: change\ndata: ${JSON.stringify(event)}\n\n`)
  }

  #beat(): void {
    for (const stream of this.#streams) send(stream, ': heartbeat\n\n')
  }
}

/** Who does not read is cut, before what waits for them is the gateway's memory. */
function send({ response }: Stream, text: string): void {
  if (response.writableLength > MOST_WAITING_BYTES) return void response.destroy()
  if (!response.writableEnded && !response.destroyed) response.write(text)
}

function eventOf({ state: { generation, kill, contexts }, localKill, killFileProblems }: StateChange): ChangeEvent {
  const known = Object.entries(contexts).map(([name, context]) => ({ name, ...context }))
  const last = known.find(({ changed }) => changed?.generation === generation)
  return {
    generation,
    kill,
    contexts: known.map(asTold),
    changed: last === undefined ? null : changeOf(last),
    localKill: [...localKill],
    killFileProblems: [...killFileProblems],
  }
}

type Named = ContextState & { readonly name: string }

function asTold({ name, pin, freeze, flip, shadow = null, changed }: Named): ChangeEvent['contexts'][number] {
  return { name, pin, freeze, flip, shadow, generation: changed?.generation ?? 0 }
}

function changeOf({ name, changed }: Named): ChangeEvent['changed'] {
  return changed && { context: name, verb: changed.verb, by: changed.by, reason: changed.reason, at: changed.at }
}

function eventOfStatus({ generation, kill, contexts, localKill, killFileProblems }: StatusView): ChangeEvent {
  const known = contexts.filter((context) => context.generation > 0)
  return {
    generation,
    kill,
    contexts: known.map(({ name, pin, freeze, flip, shadow, generation }) => {
      return { name, pin, freeze, flip, shadow, generation }
    }),
    changed: null,
    localKill: [...localKill],
    killFileProblems: [...killFileProblems],
  }
}
