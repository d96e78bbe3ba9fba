// The offline comparison, for `strangler replay`: recorded requests, asked of both sides of the migration map and
// compared as shadowing compares. A composition root like gateway.ts, for a gateway that serves nobody.
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { loadConfig } from '../config/load/load.ts'
import type { ValidConfig } from '../config/schema/valid-config.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { readComparisonPolicies } from '../replay/comparison-policies.ts'
import { openRecording, type Recording } from '../replay/open-recording.ts'
import { createPace } from '../replay/request-pace.ts'
import { type PrepareOptions, prepare } from '../replay/prepare-request.ts'
import { BadReplayOption, type Format, type Skipped, UnusableRecording } from '../replay/recording.ts'
import { makeReport, type Report } from '../replay/report.ts'
import { toMarkdown } from '../replay/report-markdown.ts'
import { type ReplayEnd, run } from '../replay/run-replay.ts'
import { checkState, createStateFile, type RunOf, readState, type SavedRun, sha256 } from '../replay/state-file.ts'
import { createTally, NO_PROGRESS, type ReplayTotals, type Tally } from '../replay/progress.ts'
import { createBudget } from '../shadow/capture/byte-budget.ts'
import { parityOf } from '../shadow/stats/parity.ts'
import { createCopyClient } from '../shadow/worker/copy-client.ts'
import { systemClock, systemRandom } from './runtime.ts'

export {
  BadReplayOption as Misasked,
  FORMATS,
  type Format,
  UnusableRecording as Unusable,
} from '../replay/recording.ts'
export type { Report } from '../replay/report.ts'
export { MOST_FAILURES } from '../replay/run-replay.ts'

export type ReplayRequest = {
  readonly config: string
  readonly file: string
  /** Undefined finds it out. */
  readonly format: Format | undefined
  /** Names of contexts; none means all. */
  readonly contexts: readonly string[]
  /** None means that of a HAR's first request, or `localhost`. */
  readonly hosts: readonly string[]
  readonly https: boolean
  readonly keepCredentials: boolean
  /** Requests a second, of each side. */
  readonly rate: number
  readonly concurrency: number
  /** From 0 to below 1. */
  readonly failUnder: number | undefined
  readonly report: string | undefined
  readonly jsonReport: string | undefined
  readonly state: string
  /** Whatever an earlier run has left is thrown away. */
  readonly isFresh: boolean
}

export type Replay = {
  readonly recording: Pick<Recording, 'file' | 'format' | 'bytes'>
  readonly hosts: readonly string[]
  /** Whom it asks: legacy, then each service by its name, with their addresses. */
  readonly asks: readonly { readonly name: string; readonly urls: readonly string[] }[]
  /** How many requests an earlier run has replayed, where this one goes on. */
  readonly goesOnAfter: number | undefined
  readonly now: () => ReplayNow
  /** Finishes what is under way, and ends. */
  readonly stop: () => void
  readonly ended: Promise<ReplayEnded>
}

export type ReplayNow = {
  /** How much of the recording is behind us, from 0 to 1. */
  readonly share: number
  readonly replayed: number
  readonly failed: number
  /** The share that matches; undefined before the first comparison that says so. */
  readonly matching: number | undefined
}

export type ReplayEnded =
  | { readonly kind: 'reported'; readonly report: Report; readonly markdown: string }
  | Exclude<ReplayEnd, { kind: 'finished' }>

/** @throws {ConfigError} if the config cannot be used @throws {UnusableRecording} if the recording, or what is left of a run, cannot */
export async function startReplay(asked: ReplayRequest): Promise<Replay> {
  const loaded = await loadConfig(asked.config)
  if (!loaded.ok) throw new ConfigError(asked.config, loaded.mistakes)
  const snapshot = compile(loaded.config)
  checkContexts(asked.contexts, snapshot)
  const kept = asked.isFresh ? undefined : await readState(asked.state)
  const recording = await openRecording(asked.file, asked.format, kept?.of.bytes)
  const hosts = hostsOf(asked, recording)
  const of = runOf(asked, hosts, recording, loaded.config)
  if (kept !== undefined) checkState(asked.state, kept.of, of)
  return begin({ asked, snapshot, recording, hosts, of, kept })
}

type Beginning = {
  readonly asked: ReplayRequest
  readonly snapshot: Snapshot
  readonly recording: Recording
  readonly hosts: readonly [string, ...string[]]
  readonly of: RunOf
  readonly kept: SavedRun | undefined
}

function begin({ asked, snapshot, recording, hosts, of, kept }: Beginning): Replay {
  const random = systemRandom()
  const stopping = new AbortController()
  const tally = createTally(
    kept?.progress ?? { ...NO_PROGRESS, startedAt: systemClock.wallTime() },
    systemClock.wallTime,
  )
  const state = createStateFile(asked.state, of, tally.progress)
  const contexts = asked.contexts.length === 0 ? undefined : new Set(asked.contexts)
  const preparing: PrepareOptions = { snapshot, contexts, hosts, secure: asked.https, random }
  // What is held at once is bounded by how many requests are under way, and by each one's own limit.
  const asker = createCopyClient(
    createBudget(() => Number.POSITIVE_INFINITY),
    0,
  )
  const createOwnPace = () => createPace(asked.rate, systemClock, (ms) => sleep(ms))
  let share = 0

  const running = run(
    {
      ...{ recording, tally, asker, random, meaningOf: readComparisonPolicies(snapshot) },
      ...{ concurrency: asked.concurrency, keepCredentials: asked.keepCredentials },
      prepare: (recorded, at) => prepare(recorded, preparing, at),
      paces: { legacy: createOwnPace(), service: createOwnPace() },
      save: state.save,
      onShare: (behind) => {
        share = behind
      },
    },
    stopping.signal,
  ).finally(() => asker.close())

  return {
    recording,
    hosts,
    asks: asksOf(snapshot, contexts),
    goesOnAfter: kept === undefined ? undefined : tally.sum().accounting.eligible,
    now: () => nowOf(share, tally.sum()),
    stop: () => stopping.abort(),
    ended: running.then(async (ended) => {
      if (ended.kind !== 'finished') return ended
      const reported = await writeReports(asked, snapshot, recording, tally)
      // The next run of the same is a new one.
      await state.remove()
      return reported
    }),
  }
}

function asksOf({ legacy, contexts }: Snapshot, chosen: ReadonlySet<string> | undefined): Replay['asks'] {
  const asked = [...contexts.values()].filter(({ name }) => chosen?.has(name) ?? true)
  const services = new Map(asked.map(({ service }) => [service.name, service.urls]))
  return [{ name: 'legacy', urls: legacy.urls }, ...[...services].map(([name, urls]) => ({ name, urls }))]
}

function nowOf(share: number, { accounting }: ReplayTotals): ReplayNow {
  const { matching } = parityOf(accounting, 0.5)
  return { share, replayed: accounting.eligible, failed: accounting.failed, matching: matching?.share }
}

async function writeReports(
  asked: ReplayRequest,
  snapshot: Snapshot,
  recording: Recording,
  tally: Tally,
): Promise<Extract<ReplayEnded, { kind: 'reported' }>> {
  const progress = tally.progress()
  if (progress.routes.length === 0 && progress.interrupted === 0)
    throw new UnusableRecording(nothingIn(asked.file, progress))
  const owners = new Map([...snapshot.contexts.values()].map(({ name, owner }) => [name, owner]))
  const asking = new Set(progress.routes.map(({ context }) => snapshot.contexts.get(context)?.service.name))
  const report = makeReport(progress, {
    recording: { file: asked.file, format: recording.format, bytes: recording.bytes, sha256: recording.digest },
    legacy: snapshot.legacy.urls,
    services: Object.fromEntries(
      [...snapshot.services].flatMap(([name, { urls }]) => (asking.has(name) ? [[name, urls]] : [])),
    ),
    withCredentials: asked.keepCredentials,
    owners,
    finishedAt: systemClock.wallTime(),
    failUnder: asked.failUnder,
  })
  const markdown = toMarkdown(report)
  if (asked.report !== undefined) await write(asked.report, markdown)
  if (asked.jsonReport !== undefined) await write(asked.jsonReport, `${JSON.stringify(report, undefined, 2)}\n`)
  return { kind: 'reported', report, markdown }
}

async function write(file: string, text: string): Promise<void> {
  try {
    await replaceFile(file, text)
  } catch (error) {
    throw new UnusableRecording(
      `${file} cannot be written (${(error as NodeJS.ErrnoException).code}); run the same again with another`,
    )
  }
}

function nothingIn(file: string, { skipped, unreadable }: ReturnType<Tally['progress']>): string {
  const reasons = Object.entries(skipped) as [Skipped, number][]
  const said = [
    ...reasons.map(([reason, count]) => `${count} ${reason}`),
    ...(unreadable.count > 0 ? [`${unreadable.count} cannot be read`] : []),
  ]
  return `${file} has no request that can be replayed: ${said.length === 0 ? 'it has none at all' : said.join(', ')}`
}

/** @throws {BadReplayOption} if there is none of that name */
function checkContexts(named: readonly string[], { contexts }: Snapshot): void {
  const unknown = named.find((name) => !contexts.has(name))
  if (unknown === undefined) return
  throw new BadReplayOption(
    `there is no context "${unknown}"; the config has ${[...contexts.keys()].join(', ') || 'none'}`,
  )
}

/** A HAR holds whatever its pages asked for, trackers too: requests to others are none of ours. */
function hostsOf({ hosts }: ReplayRequest, { firstHost }: Recording): readonly [string, ...string[]] {
  const [first = firstHost ?? 'localhost', ...others] = hosts.map((host) => host.toLowerCase())
  return [first, ...others]
}

function runOf(
  asked: ReplayRequest,
  hosts: readonly string[],
  { bytes, digest, format }: Recording,
  config: ValidConfig,
): RunOf {
  const choices = {
    contexts: [...asked.contexts].sort(),
    hosts,
    format,
    https: asked.https,
    keep: asked.keepCredentials,
  }
  return { bytes, digest, config: sha256(textOf(config)), choices: sha256(textOf(choices)) }
}

/** Functions, which are middleware, are not replayed. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part instanceof Map ? [...part] : part instanceof Set ? [...part] : part))
}
