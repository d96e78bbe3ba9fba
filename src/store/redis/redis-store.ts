// Shared state in Redis, for a fleet. Redis is where gateways meet and not where state lives: each of them remembers the
// last state, goes on by it while Redis is gone, and puts it back if Redis has lost it.
import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import { singleFlight } from '../../lib/single-flight.ts'
import { sleep, withTimeout } from '../../lib/timeout.ts'
import type { AuditEntry, AuditPage, AuditQuery, AuditRecord } from '../../model/audit-log.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import { EMPTY_STATE, type LastChange, type SharedState, type StoredFlagBackup } from '../../model/shared-state.ts'
import { type CommitResult, type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { contentDigest, verifyHistory } from '../audit-chain.ts'
import { NO_EVENTS, type Restored, type StoreEvents } from '../events.ts'
import { KnownState } from '../known-state.ts'
import { AUDIT_LIMIT, SILENT_MS } from '../limits.ts'
import { listeners } from '../listeners.ts'
import { lostEntries, mergeStates } from '../merge-states.ts'
import { NotThat, parseEntry, parseReport, parseState, textOfEntry, textOfState } from '../shape.ts'
import { array, texts, tuple } from './answers.ts'
import { Asker, NoAnswer } from './asker.ts'
import { Link } from './link.ts'
import { MemoryOfRedis, POSITION_LENGTH } from './memory-of-redis.ts'
import { RedisClock } from './redis-clock.ts'
import { redisComparisons } from './redis-comparisons.ts'
import { parseRedisUrl } from './redis-url.ts'
import { BEAT, COMMIT, HISTORY, KEEP_FLAGS, KEPT_FLAGS, LEAVE, LOOK, MEMBERS, RECORD, RESTORE } from './scripts.ts'

export type RedisStoreOptions = {
  /** In one of the forms that {@link parseRedisUrl} lists. */
  readonly url: string
  /** What all keys begin with, in braces: gateways of one fleet share it, and no others. `strangler` if not given. */
  readonly prefix?: string
  /** Where the last state is kept across restarts; nowhere if not given. */
  readonly stateDir?: string
  /** Who is named in the audit log when something was put back; the host's name if not given. */
  readonly gateway?: string
  /** Whether an operator gave this gateway its name. Otherwise `gateway` is the host's name and a random end. */
  readonly isNamed?: boolean
  readonly clock: Clock
  readonly events?: StoreEvents
  /** After so long a silence a gateway is forgotten, in milliseconds; a quarter of an hour if not given. */
  readonly forgetAfterMs?: number
  /** What any question may take, in milliseconds; 1500 if not given. */
  readonly limitMs?: number
  /** Beside what the URL says, such as an authority of one's own. */
  readonly tls?: ConnectionOptions
}

/** A message that was lost is made up for at the next look. */
const LOOK_MS = 1000
/** After something was put back: all gateways connect again within it, and the newest state wins before anybody commits. */
const SETTLE_MS = 1000
/** Gateways report every second: one that has been silent for so long has stopped, or is cut off. */
const GONE_MS = 3000
const SETTLING_RETRY_MS = 50
/** So much before it is given up here, Redis no longer carries it out: timers are early, and clocks are not exact. */
const DEADLINE_MARGIN_MS = 20
/** A disk that hangs holds up no answer for longer. */
const DISK_MS = 500
const HISTORY_CHUNK = 200
const KEEP_MEMBERS_MS = 60_000
/** The times of a change and of its entry in the audit log differ by the time that it takes to write both. */
const SAME_CHANGE_MS = 2000

/**
 * A handle on the state that is kept in a Redis, a Redis watched by Sentinels, or a Redis Cluster.
 *
 * Of the audit log the newest 10,000 entries are kept, and what went beyond is counted. A `commit` or `record` that was
 * rejected is never carried out afterwards: Redis itself refuses what comes later than the caller waits.
 *
 * If Redis comes back empty or older, the handle puts back the highest generation it knows and up to 1000 entries.
 *
 * @throws {NotARedisUrl} if the URL is none
 */
export function redisStore({
  url,
  prefix = 'strangler',
  stateDir,
  gateway = hostname(),
  isNamed = false,
  clock,
  events = NO_EVENTS,
  forgetAfterMs = SILENT_MS,
  limitMs = 1500,
  tls,
}: RedisStoreOptions): Store {
  const address = parseRedisUrl(url)
  const known = new KnownState(events.troubled)
  const reports = listeners<Heartbeat>(events.troubled)
  const memory = new MemoryOfRedis(stateDir, events)
  const redisClock = new RedisClock(clock)
  const look = singleFlight(lookOnce)
  let link: Link | undefined
  let asker: Asker | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let keptAt = clock.now()
  /** What was last put back into Redis, for the status. */
  let restored: StoreStatus['restored']
  let folderLost: StoreStatus['folderLost']
  /** What was told last, so that it is not told every second. */
  let toldTrouble: string | undefined

  return {
    start,
    current: () => known.current,
    read: look,
    commit,
    record,
    history,
    verifyHistory: () => verifyHistory(history),
    onChange: (listener) => known.onChange(listener),
    sendHeartbeat: async (report) => {
      const text = JSON.stringify(report)
      await ask(BEAT, [parseReport(text).id, text])
    },
    removeMember: async (id) => void (await ask(LEAVE, [id])),
    fleet,
    onHeartbeat: (listener) => reports.add(listener),
    saveFlagBackup: async ({ text, at }) => {
      if (at >= (memory.flags?.at ?? 0)) memory.flags = { text, at }
      await ask(KEEP_FLAGS, [text, String(at)])
    },
    loadFlagBackup: keptFlags,
    wallTime: () => redisClock.wallTime(),
    status: () => ({ ...connected().status(), restored, folderLost }),
    comparisons: redisComparisons({
      prefix,
      ask: async (script, names, args) => ask(script, args, undefined, names),
      askInTime: (script, names, args) => askInTime('the counts', script, args, names),
      troubled: events.troubled,
    }),
    close,
  }

  async function start(): Promise<void> {
    const last = await memory.recall()
    if (last !== undefined) known.adopt(last)
    connected()
    await look().catch(() => {})
    if (last === undefined && stateDir !== undefined) await reportLostFolder().catch(() => {})
    keepLooking()
  }

  async function close(): Promise<void> {
    isClosed = true
    clearTimeout(timer)
    link?.close()
    await memory.close()
  }

  /** The connections are made when they are first needed: a handle that is never started holds none. */
  function connected(): Asker {
    if (asker !== undefined) return asker
    const onReady = () => {
      redisClock.distrust()
      lookSoon()
    }
    link = new Link({ address, prefix, limitMs, tls, onReady, onNews })
    asker = new Asker({ link, clock, events, limitMs, location: address.shown, prefix })
    return asker
  }

  async function ask(
    script: string,
    args: readonly string[],
    giveUpAt?: number,
    names?: readonly string[],
  ): Promise<unknown> {
    if (isClosed) throw new StoreUnavailable('the store is closed', undefined)
    return connected().ask(script, args, giveUpAt, names)
  }

  function keepLooking(): void {
    if (isClosed) return
    timer = setTimeout(async () => {
      await Promise.all([look().catch(() => {}), link?.proveListening()])
      // When members were last heard of is worth a write a minute.
      if (clock.now() - keptAt > KEEP_MEMBERS_MS && memory.members.size > 0) {
        keptAt = clock.now()
        void memory.write()
      }
      keepLooking()
    }, LOOK_MS)
    timer.unref()
  }

  function lookSoon(): void {
    if (!isClosed) look().catch(() => {})
  }

  /** Asks what is there, takes what is newer, and puts back what is missing. */
  async function lookOnce(): Promise<SharedState> {
    const askedAt = clock.now()
    const asked = memory.unconfirmed
    const [seconds, micros, there, text, dropped, missing, newer] = tuple(
      await ask(LOOK, [String(memory.generation), memory.digest, memory.readUpTo, ...asked]),
    )
    redisClock.measure(Number(seconds) * 1000 + Number(micros) / 1000, askedAt)
    memory.dropped = Math.max(memory.dropped, Number(dropped))
    const theirs = text === '' && Number(there) === memory.generation ? known.current : understood(texts(text))
    const merged = mergeStates(theirs, known.current)
    if (merged !== theirs || Number(missing) > 0) await restore(merged, theirs)
    else if (text !== '') accept(texts(text), theirs)
    connected().stateIs(undefined)
    toldTrouble = undefined
    memory.confirm(asked, array(newer))
    if (text !== '' || array(newer).length > 0) void memory.write()
    return known.current
  }

  /** Puts back what Redis has lost. Where its state and ours have grown apart, they are merged entry by entry. */
  async function restore(merged: SharedState, theirs: SharedState): Promise<void> {
    const ours = known.current
    const { flags } = memory
    const [found, added, , text] = tuple(
      await ask(RESTORE, [
        String(AUDIT_LIMIT),
        String(merged.generation),
        merged === ours ? memory.text : textOfState(merged),
        String(memory.dropped),
        String(SETTLE_MS),
        flags?.text ?? '',
        String(flags?.at ?? 0),
        String(theirs.generation),
        ...memory.entries,
      ]),
    )
    const isTaken = texts(text) === '' || take(texts(text))
    const facts = {
      generation: merged.generation,
      found: Number(found),
      entries: Number(added),
      lost: [...lostEntries(ours, merged, () => true), ...lostEntries(theirs, merged, isForeign)],
    }
    // Another gateway has changed the state in between: it is merged by the next look.
    if (!isTaken || facts.found !== theirs.generation) lookSoon()
    if (facts.found >= merged.generation && facts.entries === 0) return
    restored = { at: redisClock.wallTime(), detail: detailOf(facts) }
    events.restored(facts)
    // Not waited for: it may have to look first, and looking is what we are doing.
    record(restoreEntry(facts)).catch((error: unknown) =>
      events.troubled(new Error('that something was put back is not in the audit log', { cause: error })),
    )
  }

  /** Whether a change is not the one that our own audit log has of its generation: it was made after Redis lost ours. */
  function isForeign({ generation, by, at }: LastChange): boolean {
    return memory.entries.some((member) => {
      const entry = parseEntry(member.slice(POSITION_LENGTH + 1))
      return entry.generation === generation && (entry.actor !== by || Math.abs(entry.at - at) > SAME_CHANGE_MS)
    })
  }

  function restoreEntry(facts: Restored): AuditEntry {
    const { generation, found, entries } = facts
    return {
      at: redisClock.wallTime(),
      actor: 'gateway',
      address: null,
      verb: 'restore',
      context: null,
      before: { generation: found },
      after: { generation: Math.max(found, generation), entries },
      reason: null,
      until: null,
      result: 'done',
      detail: detailOf(facts),
      generation: null,
      gateway,
    }
  }

  /**
   * Takes a state that Redis has.
   *
   * @returns false if it lacks an entry that is known here: then the two must be merged first
   */
  function take(text: string): boolean {
    const state = understood(text)
    if (mergeStates(state, known.current) !== state) return false
    accept(text, state)
    return true
  }

  function accept(text: string, state: SharedState): void {
    if (state.generation <= memory.generation) return
    memory.keepState(text, state)
    known.adopt(state)
  }

  function understood(text: string): SharedState {
    if (text === '') return EMPTY_STATE
    try {
      return parseState(text)
    } catch (error) {
      const trouble = `what Redis has under {${prefix}}:state cannot be understood; delete it, and what the gateways remember is put back`
      connected().stateIs(trouble)
      tell(new Error(trouble, { cause: error }))
      throw new StoreUnavailable(trouble, error)
    }
  }

  function tell(error: Error): void {
    if (toldTrouble === error.message) return
    toldTrouble = error.message
    events.troubled(error)
  }

  function onNews(message: string): void {
    const [kind, ...rest] = message.split('\n')
    try {
      if (kind === 'report') onReport(parseReport(rest[0] ?? ''))
      else if (kind === 'left') memory.forgetMember(rest[0] ?? '')
      else if (kind === 'state') onState(rest)
    } catch (error) {
      tell(new Error('a message of the fleet cannot be understood', { cause: error }))
    }
  }

  function onReport(report: Heartbeat): void {
    memory.keepMember(report, redisClock.wallTime())
    reports.tell(report)
  }

  function onState([, member = '', text = '']: readonly string[]): void {
    const state = parseState(text)
    if (text === memory.text) return
    // It lacks an entry that is known here: Redis has lost something, or the message was late.
    if (mergeStates(state, known.current) !== state) {
      lookSoon()
      return
    }
    if (member !== '') memory.keepEntries([member])
    accept(text, state)
    void memory.write()
  }

  /** Tries until it is done, refused, or the limit is up: a change that is made already is not made again. */
  async function commit(next: SharedState, entry: AuditEntry): Promise<CommitResult> {
    const [text, line] = [textOfState(next), textOfEntry(entry)]
    const giveUpAt = connected().limit()
    let mayBeUnderWay = false
    for (;;) {
      const result = await tryCommit(text, line, next.generation, giveUpAt).catch((error: unknown) => {
        mayBeUnderWay ||= error instanceof NoAnswer && error.wasSent
        if (mayBeUnderWay && clock.now() < giveUpAt) return undefined
        throw error
      })
      if (result !== undefined) return result
      if (clock.now() >= giveUpAt)
        throw new StoreUnavailable(`Redis at ${address.shown} did not take the change in time`, undefined)
      await sleep(SETTLING_RETRY_MS)
    }
  }

  /** Undefined if it may succeed when it is tried again. */
  async function tryCommit(
    text: string,
    line: string,
    generation: number,
    giveUpAt: number,
  ): Promise<CommitResult | undefined> {
    const answer = await ask(
      COMMIT,
      [String(AUDIT_LIMIT), String(generation), text, line, digestOf(line), await deadline(giveUpAt)],
      giveUpAt,
    )
    const [verdict, first, there] = tuple(answer)
    if (verdict === 'late' || (verdict === 'conflict' && Number(first) < memory.generation)) await look()
    else if (verdict === 'done') {
      memory.keepOwn(texts(first))
      accept(text, parseState(text))
      await withTimeout(DISK_MS, memory.write(), undefined)
      return { ok: true }
    } else if (verdict === 'conflict') {
      if (take(texts(there))) return { ok: false, conflict: known.current }
      await look()
    }
    return undefined
  }

  async function record(entry: AuditEntry): Promise<void> {
    const line = textOfEntry(entry)
    memory.keepOwn(await askInTime('the entry', RECORD, [String(AUDIT_LIMIT), line, digestOf(line)]))
    void memory.write()
  }

  /** Has done what must not be done after it was given up: the script is told the last moment, as its last argument. */
  async function askInTime(
    what: string,
    script: string,
    args: readonly string[],
    names?: readonly string[],
  ): Promise<string> {
    const giveUpAt = connected().limit()
    for (;;) {
      const answer = texts(await askOnce(script, [...args, await deadline(giveUpAt)], giveUpAt, names))
      if (answer !== 'late') return answer
      if (clock.now() >= giveUpAt)
        throw new StoreUnavailable(`Redis at ${address.shown} did not take ${what} in time`, undefined)
      await look()
    }
  }

  /** Asks for what must not be done twice: it is not given up before Redis does not do it any more. */
  async function askOnce(
    script: string,
    args: readonly string[],
    giveUpAt: number,
    names?: readonly string[],
  ): Promise<unknown> {
    try {
      return await ask(script, args, giveUpAt, names)
    } catch (error) {
      if (error instanceof NoAnswer && error.wasSent) await sleep(giveUpAt - clock.now())
      throw error
    }
  }

  /** The last moment, by the clock of Redis, at which something may be carried out that we have not given up yet. */
  async function deadline(giveUpAt: number): Promise<string> {
    if (!redisClock.isKnown) await look()
    const leftMs = giveUpAt - clock.now() - DEADLINE_MARGIN_MS - redisClock.errorMs
    return String(Math.floor(redisClock.wallTime() + leftMs))
  }

  async function history({ context, before, limit }: AuditQuery): Promise<AuditPage> {
    const records: AuditRecord[] = []
    let from = before === undefined ? '+inf' : `(${positionOf(before)}`
    for (;;) {
      const [droppedText, chunk] = tuple(await ask(HISTORY, [from, String(HISTORY_CHUNK)]))
      const dropped = Number(droppedText)
      const members = array(chunk)
      for (const member of members) {
        const one = recordOf(member)
        if (one === undefined || (context !== undefined && one.context !== context)) continue
        if (records.length === limit) return { records, next: records.at(-1)?.position ?? null, dropped }
        records.push(one)
      }
      const last = members.at(-1)
      if (last === undefined || members.length < HISTORY_CHUNK) return { records, next: null, dropped }
      from = `(${last.slice(0, POSITION_LENGTH)}`
    }
  }

  function recordOf(member: string): AuditRecord | undefined {
    try {
      return { ...parseEntry(member.slice(POSITION_LENGTH + 1)), position: member.slice(0, POSITION_LENGTH) }
    } catch (error) {
      tell(new Error('an entry of the audit log cannot be understood', { cause: error }))
      return undefined
    }
  }

  /**
   * A given name is enough to know a gateway by. Otherwise its id has a random end, which is new with a new folder, so the
   * host's name is compared; a gateway of that name that still reports is another process of the same host.
   */
  async function reportLostFolder(): Promise<void> {
    const { generation } = known.current
    if (generation === 0) return
    const [reports, left] = tuple(await ask(MEMBERS, [String(forgetAfterMs)]))
    const gone = membersIn(array(reports)).filter(({ silentMs }) => isNamed || silentMs > GONE_MS)
    const nameOf = (id: string) => (isNamed ? id : id.replace(/-[0-9a-f]{8}$/, ''))
    const ids = [...gone.map(({ id }) => id), ...array(left)]
    if (!ids.some((id) => nameOf(id) === nameOf(gateway))) return
    folderLost = { at: redisClock.wallTime(), generation }
    events.folderLost?.(generation)
  }

  /** Those that Redis has, and those that are known here and were not heard of since Redis lost them. */
  async function fleet(): Promise<FleetMember[]> {
    const [found, left] = tuple(await ask(MEMBERS, [String(forgetAfterMs)]))
    const members = membersIn(array(found))
    for (const id of array(left)) memory.forgetMember(id)
    const now = redisClock.wallTime()
    for (const member of members) {
      const { silentMs, ...report } = member
      memory.keepMember(report, now - silentMs)
    }
    const reporting = new Set(members.map(({ id }) => id))
    for (const [id, { report, at }] of memory.members) {
      const silentMs = Math.max(0, Math.round(now - at))
      if (silentMs > forgetAfterMs) memory.forgetMember(id)
      else if (!reporting.has(id)) members.push({ ...report, silentMs })
    }
    return members
  }

  function membersIn(answer: readonly string[]): FleetMember[] {
    const members: FleetMember[] = []
    for (let index = 0; index + 1 < answer.length; index += 2) {
      try {
        members.push({ ...parseReport(answer[index + 1] as string), silentMs: Number(answer[index]) })
      } catch (error) {
        tell(new Error('the report of a gateway cannot be understood', { cause: error }))
      }
    }
    return members
  }

  async function keptFlags(): Promise<StoredFlagBackup | undefined> {
    const [text, at] = tuple(await ask(KEPT_FLAGS, []))
    return text === '' ? undefined : { text: texts(text), at: Number(at) }
  }
}

/** Of what will be read again, and not of the object that the caller may change. */
function digestOf(line: string): string {
  return contentDigest(parseEntry(line))
}

function detailOf({ generation, found, entries, lost }: Restored): string {
  const what = found === 0 ? 'empty' : `with generation ${found}`
  const replaced = lost.length === 0 ? '' : `; replaced by later changes, look at them: ${lost.join(', ')}`
  return `Redis had come back ${what}; put back generation ${generation} and ${entries} entries of the audit log${replaced}`
}

/** @throws {NotThat} */
function positionOf(before: string): string {
  if (/^\d{16}$/.test(before)) return before
  throw new NotThat('a position in the audit log', before.slice(0, 40))
}
