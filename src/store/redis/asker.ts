// Asking Redis: within a limit, and with a memory of since when and why it cannot be asked.
import type { Clock } from '../../model/ports.ts'
import { type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { StoreEvents } from '../events.ts'
import { explainRefusal } from './explain-refusal.ts'
import type { Link } from './link.ts'
import { KEYS, LOOK, READS } from './scripts.ts'

export type AskerOptions = {
  readonly link: Link
  readonly clock: Clock
  readonly events: StoreEvents
  readonly limitMs: number
  /** The URL without credentials. */
  readonly location: string
  /** Of all keys, for the rights that a user needs. */
  readonly prefix: string
}

const NOT_SENT_RETRY_MS = 20

type Trouble = 'connection' | 'state' | 'writing'

/** There is no connection, it broke, or no answer came. */
export class NoAnswer extends StoreUnavailable {
  /** Whether the question left: then it may have arrived, or may still arrive. */
  readonly wasSent: boolean

  constructor(reason: string, wasSent: boolean) {
    super(reason, undefined)
    this.wasSent = wasSent
  }
}

export class Asker {
  private readonly options: AskerOptions
  private answeredAt: number
  /** What is wrong, by what it is wrong with; one is mended without the others. */
  private readonly troubles = new Map<Trouble, string>()
  private troubledSince = 0

  constructor(options: AskerOptions) {
    this.options = options
    this.answeredAt = options.clock.now()
  }

  /**
   * Runs a script and gives its answer.
   *
   * @param giveUpAt in our monotonic milliseconds
   * @param names of the keys that it is about
   * @throws {NoAnswer} if there was none in time
   * @throws {StoreUnavailable} if Redis answered that it cannot: read-only, full, or the keys are not ours
   */
  async ask(
    script: string,
    args: readonly string[],
    giveUpAt = this.limit(),
    names: readonly string[] = KEYS,
  ): Promise<unknown> {
    for (;;) {
      await this.connect(giveUpAt)
      const leftMs = giveUpAt - this.options.clock.now()
      try {
        const answer = await this.options.link.run(script, names, args, Math.max(1, leftMs))
        this.answeredAt = this.options.clock.now()
        this.mended('connection')
        if (!READS.has(script)) this.mended('writing')
        return answer
      } catch (error) {
        if (isReply(error)) throw this.refused(script, error)
        const isSent = !wasNotSent(error)
        if (isSent || leftMs <= NOT_SENT_RETRY_MS) throw this.unreachable(error, isSent)
        await new Promise((resolve) => setTimeout(resolve, NOT_SENT_RETRY_MS))
      }
    }
  }

  /** The end of the time that a question asked now may take. */
  limit(): number {
    return this.options.clock.now() + this.options.limitMs
  }

  /** What is kept in Redis can be read, or for this reason cannot. */
  stateIs(trouble: string | undefined): void {
    if (trouble === undefined) this.mended('state')
    else this.broken('state', trouble)
  }

  status(): StoreStatus {
    const [trouble] = this.troubles.values()
    const cutOffMs = trouble === undefined ? 0 : this.options.clock.now() - this.troubledSince
    return { kind: 'redis', location: this.options.location, isConnected: trouble === undefined, cutOffMs, trouble }
  }

  /** Whoever is known to be gone is not waited for by every question anew. */
  private async connect(giveUpAt: number): Promise<void> {
    const { link, clock, limitMs } = this.options
    if (link.isReady) return
    const now = clock.now()
    const patienceMs = this.troubles.has('connection') && now - this.answeredAt > limitMs ? 0 : giveUpAt - now
    if (await link.whenReady(patienceMs)) return
    throw this.unreachable(new Error('no connection'), false)
  }

  // The errors of ioredis carry the command with its arguments, and so the password: only their messages go on.

  private refused(script: string, error: Error): StoreUnavailable {
    const { location, prefix } = this.options
    const reason = explainRefusal(error.message, location, prefix) ?? `Redis at ${location} refuses: ${error.message}`
    if (script === LOOK) this.broken('state', reason)
    if (!READS.has(script)) this.broken('writing', reason)
    return new StoreUnavailable(reason, undefined)
  }

  private unreachable(error: unknown, wasSent: boolean): NoAnswer {
    const { link, location, prefix } = this.options
    const why = link.trouble?.message ?? (error instanceof Error ? error.message : String(error))
    const reason = explainRefusal(why, location, prefix) ?? `Redis at ${location} cannot be reached: ${why}`
    this.broken('connection', reason)
    return new NoAnswer(reason, wasSent)
  }

  private broken(what: Trouble, reason: string): void {
    const wasWell = this.troubles.size === 0
    this.troubles.set(what, reason)
    if (!wasWell) return
    // A connection broke when the last answer came, not when somebody noticed.
    this.troubledSince = what === 'connection' ? this.answeredAt : this.options.clock.now()
    this.options.events.cutOff(reason)
  }

  private mended(what: Trouble): void {
    if (!this.troubles.delete(what) || this.troubles.size > 0) return
    this.options.events.reached(this.options.clock.now() - this.troubledSince)
  }
}

/** Whether Redis itself said so. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** The connection is closing and does not say so yet: ioredis names it by this message only. */
function wasNotSent(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Stream isn't writeable")
}
