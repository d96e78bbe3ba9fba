// Writes to Redis that must not happen after the caller has given up: changes, audit entries and counts.
import { sleep, withTimeout } from '../../lib/timeout.ts'
import type { AuditEntry } from '../../model/audit-log.ts'
import type { Clock } from '../../model/ports.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { type CommitResult, StoreUnavailable } from '../../model/state-store.ts'
import { contentDigest } from '../audit-chain.ts'
import type { CachedState } from '../cached-state.ts'
import { AUDIT_LIMIT } from '../limits.ts'
import { parseEntry, parseState, serializeEntry, serializeState } from '../state-schema.ts'
import type { LocalReplica } from './local-replica.ts'
import { NoReply, type RedisClient, type ScriptOptions } from './redis-client.ts'
import type { RedisClock } from './redis-clock.ts'
import { asArray, asString } from './replies.ts'
import { COMMIT, RECORD } from './scripts.ts'
import type { StateReconciler } from './state-reconciler.ts'

type RedisWriterOptions = {
  readonly client: RedisClient
  readonly reconciler: StateReconciler
  readonly cache: CachedState
  readonly replica: LocalReplica
  readonly clock: Clock
  readonly redisClock: RedisClock
}

type Commit = {
  readonly generation: number
  readonly text: string
  readonly entry: string
  readonly giveUpAt: number
}

const COMMIT_RETRY_MS = 50
/** Redis stops accepting a write this long before the caller gives up: timers fire early, and clocks are not exact. */
const DEADLINE_MARGIN_MS = 20
/** A commit waits no longer than this for the local disk. */
const DISK_MS = 500

export class RedisWriter {
  readonly #options: RedisWriterOptions

  constructor(options: RedisWriterOptions) {
    this.#options = options
  }

  /** Retries until Redis commits or refuses, or the limit is reached. A change that Redis has made is not made twice. */
  async commit(next: SharedState, entry: AuditEntry): Promise<CommitResult> {
    const { client, clock } = this.#options
    const giveUpAt = client.giveUpTime()
    const commit = { generation: next.generation, text: serializeState(next), entry: serializeEntry(entry), giveUpAt }
    let maybeCommitted = false
    for (;;) {
      const result = await this.#tryCommit(commit).catch((error: unknown) => {
        maybeCommitted ||= error instanceof NoReply && error.wasSent
        if (maybeCommitted && clock.now() < giveUpAt) return undefined
        throw error
      })
      if (result !== undefined) return result
      if (clock.now() >= giveUpAt) throw this.#lateError('the change')
      await sleep(COMMIT_RETRY_MS)
    }
  }

  async record(entry: AuditEntry): Promise<void> {
    const { replica } = this.#options
    const text = serializeEntry(entry)
    replica.addAcknowledged(
      await this.runBeforeDeadline('the entry', RECORD, [String(AUDIT_LIMIT), text, digestOf(text)]),
    )
    void replica.save()
  }

  /**
   * Runs a script that receives the deadline as its last argument and replies `late` after it.
   *
   * @param subject names the written data, for the error
   * @throws {StoreUnavailable} at the limit; Redis then no longer runs the script
   */
  async runBeforeDeadline(
    subject: string,
    script: string,
    args: readonly string[],
    keys?: readonly string[],
  ): Promise<string> {
    const { client, clock, reconciler } = this.#options
    const giveUpAt = client.giveUpTime()
    for (;;) {
      const reply = asString(
        await this.#runAndWait(script, [...args, await this.#deadline(giveUpAt)], { giveUpAt, keys }),
      )
      if (reply !== 'late') return reply
      if (clock.now() >= giveUpAt) throw this.#lateError(subject)
      await reconciler.refresh()
    }
  }

  /** @returns undefined if another attempt may succeed */
  async #tryCommit({ generation, text, entry, giveUpAt }: Commit): Promise<CommitResult | undefined> {
    const { client, reconciler, cache, replica } = this.#options
    const deadline = await this.#deadline(giveUpAt)
    const args = [String(AUDIT_LIMIT), String(generation), text, entry, digestOf(entry), deadline]
    const [verdict, first, remoteText] = asArray(await client.run(COMMIT, args, { giveUpAt }))
    if (verdict === 'done') {
      replica.addAcknowledged(asString(first))
      reconciler.adopt(text, parseState(text))
      await withTimeout(DISK_MS, replica.save(), undefined)
      return { ok: true }
    }
    // A conflict with an older generation: Redis has lost data, which a refresh restores.
    const isConflict = verdict === 'conflict' && Number(first) >= replica.generation
    if (isConflict && reconciler.adoptIfComplete(asString(remoteText))) return { ok: false, conflict: cache.current }
    if (verdict === 'late' || verdict === 'conflict') await reconciler.refresh()
    return undefined
  }

  /** If a sent command gets no reply, waits until Redis can no longer run it. */
  async #runAndWait(
    script: string,
    args: readonly string[],
    options: ScriptOptions & { readonly giveUpAt: number },
  ): Promise<unknown> {
    try {
      return await this.#options.client.run(script, args, options)
    } catch (error) {
      if (error instanceof NoReply && error.wasSent) await sleep(options.giveUpAt - this.#options.clock.now())
      throw error
    }
  }

  /** The last moment, by the clock of Redis, at which Redis may run a command of a caller that waits until `giveUpAt`. */
  async #deadline(giveUpAt: number): Promise<string> {
    const { redisClock, reconciler, clock } = this.#options
    if (!redisClock.isKnown) await reconciler.refresh()
    const leftMs = giveUpAt - clock.now() - DEADLINE_MARGIN_MS - redisClock.errorMs
    return String(Math.floor(redisClock.wallTime() + leftMs))
  }

  #lateError(subject: string): StoreUnavailable {
    return new StoreUnavailable(`Redis at ${this.#options.client.location} did not take ${subject} in time`, undefined)
  }
}

/** The digest of the text that is stored, not of the object, which the caller may change. */
function digestOf(text: string): string {
  return contentDigest(parseEntry(text))
}
