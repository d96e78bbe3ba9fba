// What belongs in the audit log although nothing was changed, or although the store cannot be reached just now.

import type { AuditEntry } from '../../model/audit-log.ts'
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import type { Role } from '../../model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../../model/state-store.ts'
import type { Events } from '../../telemetry/events.ts'

export type Recorder = {
  readonly start: () => void
  /** Now, or as soon as the store can be reached. Never rejects. */
  readonly record: (entry: AuditEntry) => Promise<void>
  /** As soon as the store can be reached. */
  readonly later: (entry: AuditEntry) => void
  readonly turnedAway: (facts: TurnedAway) => Promise<void>
  readonly stop: () => Promise<void>
}

export type TurnedAway = {
  readonly by: string
  readonly role: Role | null
  readonly address: string | null
  readonly what: string
  readonly why: string
}

const TRY_EVERY_MS = 1000
/** What waits for the store at most; beyond it the oldest go, those who knocked at the door before all others. */
const MOST_WAITING = 1000

export function createRecorder(store: StateStore, events: Events, gateway: string): Recorder {
  let waiting: AuditEntry[] = []
  let dropped = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<boolean> | undefined

  return { start, record, later, turnedAway, stop }

  function start(): void {
    timer = setInterval(() => void write(), TRY_EVERY_MS)
    timer.unref()
    void write()
  }

  async function record(entry: AuditEntry): Promise<void> {
    later(entry)
    await write()
  }

  function later(entry: AuditEntry): void {
    waiting.push(entry)
    if (waiting.length > MOST_WAITING) drop()
  }

  function drop(): void {
    const knock = waiting.findIndex(({ verb }) => verb === 'sign-in')
    waiting.splice(Math.max(0, knock), 1)
    dropped++
    if (dropped > 1) return
    notKept(
      `more than ${MOST_WAITING} entries wait for the audit log: the oldest are dropped, and are in this log alone`,
    )
  }

  /** Whoever was told of an entry before was told by the application log: it has them still. */
  function notKept(why: string): void {
    events.stateNotKept({ file: store.status().location, error: new Error(why) })
  }

  async function turnedAway({ by, address, what, why }: TurnedAway): Promise<void> {
    events.changed({
      verb: 'sign-in',
      context: null,
      by,
      reason: null,
      result: 'refused',
      before: null,
      after: null,
      detail: why,
    })
    await record({ ...blank(), actor: by, address, verb: 'sign-in', result: 'refused', detail: `${what}: ${why}` })
  }

  function blank() {
    return {
      at: store.wallTime(),
      address: null,
      context: null,
      before: null,
      after: null,
      reason: null,
      until: null,
      generation: null,
      gateway,
    }
  }

  async function stop(): Promise<void> {
    clearInterval(timer)
    await write()
    const { length } = waiting
    if (length === 0) return
    const entries = length === 1 ? '1 entry could not be written' : `${length} entries could not be written`
    notKept(`${entries} to the audit log before the end: ${length === 1 ? 'it is' : 'they are'} in this log alone`)
  }

  /** In the order in which they came; one that the store did not take waits with those behind it. */
  async function write(): Promise<void> {
    // The round under way may have ended without what has just come.
    const takesMore = await writing
    if (takesMore === false) return
    writing ??= writeAll().finally(() => {
      writing = undefined
    })
    await writing
  }

  /** @returns whether the store takes more */
  async function writeAll(): Promise<boolean> {
    for (let next = oldest(); next !== undefined; next = oldest()) {
      try {
        await store.record(next.entry)
      } catch (error) {
        if (error instanceof StoreUnavailable) return false
        events.bug({ where: 'audit log', error })
      }
      dropped -= next.tellsOf
      waiting = waiting.filter((entry) => entry !== next.entry)
    }
    return true
  }

  /** Before all others comes that some are missing. */
  function oldest(): { readonly entry: AuditEntry; readonly tellsOf: number } | undefined {
    const [entry] = waiting
    if (dropped === 0) return entry === undefined ? undefined : { entry, tellsOf: 0 }
    const what = dropped === 1 ? '1 entry that came' : `${dropped} entries that came`
    const detail = `${what} while the store could not be reached were dropped: the log of this gateway has them`
    return {
      entry: { ...blank(), actor: BUILT_IN_ACTORS.gateway, verb: 'restore', result: 'failed', detail },
      tellsOf: dropped,
    }
  }
}
