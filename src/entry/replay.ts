// `strangler replay`: sends recorded requests to both sides of the migration map and compares the responses as shadowing does. A
// composition root like gateway.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { loadConfig } from '../config/load/load.ts'
import type { ValidConfig } from '../config/schema/valid-config.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { readComparisonPolicies } from '../replay/comparison-policies.ts'
import { openRecording, type Recording } from '../replay/open-recording.ts'
import { type PrepareOptions, prepareRequest } from '../replay/prepare-request.ts'
import { NO_PROGRESS, type Progress, type ReplayTotals } from '../replay/progress.ts'
import { ProgressTracker } from '../replay/progress-tracker.ts'
import { BadReplayOption, type RecordingFormat, type SkipReason, UnusableRecording } from '../replay/recording.ts'
import { makeReport, type ReplayReport } from '../replay/report.ts'
import { toMarkdown } from '../replay/report-markdown.ts'
import { RequestPace } from '../replay/request-pace.ts'
import { type ReplayEnd, ReplayRun } from '../replay/run-replay.ts'
import { checkState, type RunIdentity, readState, type SavedRun, StateFile, sha256 } from '../replay/state-file.ts'
import { ByteBudget } from '../shadow/capture/byte-budget.ts'
import { parityOf } from '../shadow/stats/parity.ts'
import { CopyClient } from '../shadow/worker/copy-client.ts'
import { systemClock, systemRandom } from './runtime.ts'

export {
  BadReplayOption,
  RECORDING_FORMATS,
  type RecordingFormat,
  UnusableRecording,
} from '../replay/recording.ts'
export type { ReplayReport } from '../replay/report.ts'

export type ReplayRequest = {
  readonly config: string
  readonly file: string
  /** Undefined: detected from the content. */
  readonly format: RecordingFormat | undefined
  /** Names of contexts; an empty list means all. */
  readonly contexts: readonly string[]
  /** An empty list means the host of a HAR's first request, or `localhost`. */
  readonly hosts: readonly string[]
  readonly https: boolean
  readonly keepCredentials: boolean
  /** Requests per second to each side. */
  readonly rate: number
  readonly concurrency: number
  /** The smallest share of matches that passes, from 0 to below 1; undefined for no gate. */
  readonly failUnder: number | undefined
  readonly report: string | undefined
  readonly jsonReport: string | undefined
  readonly state: string
  /** Ignore the state file of an earlier run. */
  readonly isFresh: boolean
}

export type Replay = {
  readonly recording: Pick<Recording, 'file' | 'format' | 'bytes'>
  readonly hosts: readonly string[]
  /** The sides that receive requests: legacy, then each service by its name, with their addresses. */
  readonly destinations: readonly { readonly name: string; readonly urls: readonly string[] }[]
  /** The number of requests that an earlier run has replayed, if this run continues it. */
  readonly resumedAfter: number | undefined
  readonly now: () => ReplayNow
  /** Finishes the requests that are under way, and ends. */
  readonly stop: () => void
  readonly ended: Promise<ReplayEnded>
}

type ReplayNow = {
  /** The share of the recording that was read, from 0 to 1. */
  readonly share: number
  readonly replayed: number
  readonly failed: number
  /** The share of conclusive comparisons that match; undefined before the first one. */
  readonly matching: number | undefined
}

export type ReplayEnded =
  | { readonly kind: 'reported'; readonly report: ReplayReport; readonly markdown: string }
  | Exclude<ReplayEnd, { kind: 'finished' }>

/**
 * @throws {ConfigError} if the config cannot be used
 * @throws {UnusableRecording} if the recording or the state file cannot be used
 */
export async function startReplay(request: ReplayRequest): Promise<Replay> {
  const loaded = await loadConfig(request.config)
  if (!loaded.ok) throw new ConfigError(request.config, loaded.mistakes)
  const snapshot = compile(loaded.config)
  checkContexts(request.contexts, snapshot)
  const savedRun = request.isFresh ? undefined : await readState(request.state)
  const recording = await openRecording(request.file, request.format, savedRun?.of.bytes)
  const hosts = hostsOf(request, recording)
  const identity = identityOf(request, hosts, recording, loaded.config)
  if (savedRun !== undefined) checkState(request.state, savedRun.of, identity)
  return begin({ request, snapshot, recording, hosts, identity, savedRun })
}

type ReplaySetup = {
  readonly request: ReplayRequest
  readonly snapshot: Snapshot
  readonly recording: Recording
  readonly hosts: readonly [string, ...string[]]
  readonly identity: RunIdentity
  readonly savedRun: SavedRun | undefined
}

function begin({ request, snapshot, recording, hosts, identity, savedRun }: ReplaySetup): Replay {
  const random = systemRandom()
  const stop = new AbortController()
  const savedProgress = savedRun?.progress ?? { ...NO_PROGRESS, startedAt: systemClock.wallTime() }
  const progress = new ProgressTracker(savedProgress, systemClock.wallTime)
  const state = new StateFile({ file: request.state, identity, progress: () => progress.snapshot() })
  const contexts = request.contexts.length === 0 ? undefined : new Set(request.contexts)
  const prepareOptions: PrepareOptions = { snapshot, contexts, hosts, secure: request.https, random }
  // The concurrency and the limit of each body already bound the memory.
  const client = new CopyClient({ budget: new ByteBudget(() => Number.POSITIVE_INFINITY), restMs: 0 })
  const createPace = () => new RequestPace({ perSecond: request.rate, clock: systemClock, wait: (ms) => sleep(ms) })
  let share = 0

  const replayRun = new ReplayRun({
    ...{ recording, progress, client, random, policyOf: readComparisonPolicies(snapshot) },
    ...{ concurrency: request.concurrency, keepCredentials: request.keepCredentials },
    prepareRequest: (recorded, entry) => prepareRequest(recorded, prepareOptions, entry),
    paces: { legacy: createPace(), service: createPace() },
    save: () => state.save(),
    onProgress: (readShare) => {
      share = readShare
    },
  })
  const running = replayRun.run(stop.signal).finally(() => client.close())

  return {
    recording,
    hosts,
    destinations: destinationsOf(snapshot, contexts),
    resumedAfter: savedRun === undefined ? undefined : progress.totals().accounting.eligible,
    now: () => nowOf(share, progress.totals()),
    stop: () => stop.abort(),
    ended: running.then(async (end) => {
      if (end.kind !== 'finished') return end
      const reported = await writeReports(request, snapshot, recording, progress.snapshot())
      // The next run with the same options starts again.
      await state.remove()
      return reported
    }),
  }
}

function destinationsOf(
  { legacy, contexts }: Snapshot,
  chosen: ReadonlySet<string> | undefined,
): Replay['destinations'] {
  const replayed = [...contexts.values()].filter(({ name }) => chosen?.has(name) ?? true)
  const services = new Map(replayed.map(({ service }) => [service.name, service.urls]))
  return [{ name: 'legacy', urls: legacy.urls }, ...[...services].map(([name, urls]) => ({ name, urls }))]
}

function nowOf(share: number, { accounting }: ReplayTotals): ReplayNow {
  const { matching } = parityOf(accounting, 0.5)
  return { share, replayed: accounting.eligible, failed: accounting.failed, matching: matching?.share }
}

async function writeReports(
  request: ReplayRequest,
  snapshot: Snapshot,
  recording: Recording,
  progress: Progress,
): Promise<Extract<ReplayEnded, { kind: 'reported' }>> {
  if (progress.routes.length === 0 && progress.interrupted === 0) {
    throw new UnusableRecording(whyNothingReplayed(request.file, progress))
  }
  const owners = new Map([...snapshot.contexts.values()].map(({ name, owner }) => [name, owner]))
  const used = new Set(progress.routes.map(({ context }) => snapshot.contexts.get(context)?.service.name))
  const report = makeReport(progress, {
    recording: { file: request.file, format: recording.format, bytes: recording.bytes, sha256: recording.digest },
    legacy: snapshot.legacy.urls,
    services: Object.fromEntries(
      [...snapshot.services].flatMap(([name, { urls }]) => (used.has(name) ? [[name, urls]] : [])),
    ),
    withCredentials: request.keepCredentials,
    owners,
    finishedAt: systemClock.wallTime(),
    failUnder: request.failUnder,
  })
  const markdown = toMarkdown(report)
  if (request.report !== undefined) await writeReport(request.report, markdown)
  if (request.jsonReport !== undefined)
    await writeReport(request.jsonReport, `${JSON.stringify(report, undefined, 2)}\n`)
  return { kind: 'reported', report, markdown }
}

async function writeReport(file: string, text: string): Promise<void> {
  try {
    await replaceFile(file, text)
  } catch (error) {
    throw new UnusableRecording(
      `${file} cannot be written (${(error as NodeJS.ErrnoException).code}); run the same command with another file`,
    )
  }
}

function whyNothingReplayed(file: string, { skipped, unreadable }: Progress): string {
  const skipCounts = Object.entries(skipped) as [SkipReason, number][]
  const reasons = [
    ...skipCounts.map(([reason, count]) => `${count} ${reason}`),
    ...(unreadable.count > 0 ? [`${unreadable.count} cannot be read`] : []),
  ]
  return `${file} has no request that can be replayed: ${reasons.length === 0 ? 'it has no requests' : reasons.join(', ')}`
}

/** @throws {BadReplayOption} if the config has no such context */
function checkContexts(names: readonly string[], { contexts }: Snapshot): void {
  const unknown = names.find((name) => !contexts.has(name))
  if (unknown === undefined) return
  throw new BadReplayOption(
    `there is no context "${unknown}"; the config has ${[...contexts.keys()].join(', ') || 'no contexts'}`,
  )
}

/** A HAR also contains requests of its pages to other hosts, such as trackers. They are not replayed. */
function hostsOf({ hosts }: ReplayRequest, { firstHost }: Recording): readonly [string, ...string[]] {
  const [first = firstHost ?? 'localhost', ...others] = hosts.map((host) => host.toLowerCase())
  return [first, ...others]
}

function identityOf(
  request: ReplayRequest,
  hosts: readonly string[],
  { bytes, digest, format }: Recording,
  config: ValidConfig,
): RunIdentity {
  const choices = {
    contexts: [...request.contexts].sort(),
    hosts,
    format,
    https: request.https,
    keep: request.keepCredentials,
  }
  return { bytes, digest, config: sha256(jsonOf(config)), choices: sha256(jsonOf(choices)) }
}

/** Leaves out functions: a replay runs no middleware. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part instanceof Map ? [...part] : part instanceof Set ? [...part] : part))
}
