// Replays a recording: takes entry after entry, asks legacy, then the service, then perhaps legacy again, compares,
// and counts. What may have been asked is written down before it is, so that a run which goes on asks nothing twice.
import type { Comparison, ShadowFailure } from '../model/comparison.ts'
import type { Random } from '../model/ports.ts'
import type { Side } from '../model/route.ts'
import type { CopyRequest } from '../model/shadow.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import { copyFields } from '../shadow/capture/copy-fields.ts'
import { type ComparedResponse, compareAnswers } from '../shadow/compare/compare-answers.ts'
import type { CompiledRules } from '../shadow/compare/rules.ts'
import type { CopyClient, CopyResult } from '../shadow/worker/copy-client.ts'
import type { Meaning } from './comparison-policies.ts'
import type { Recording } from './open-recording.ts'
import type { Pace } from './request-pace.ts'
import type { Prepared } from './prepare-request.ts'
import type { Recorded, Skipped } from './recording.ts'
import type { Tally } from './progress.ts'

export type ReplayContext = {
  readonly recording: Pick<Recording, 'entries'>
  readonly prepare: (recorded: Recorded, at: number) => Prepared | Skipped
  readonly meaningOf: (policy: ShadowPolicy) => Meaning
  readonly asker: Pick<CopyClient, 'ask'>
  readonly paces: Readonly<Record<Side, Pace>>
  readonly tally: Tally
  /** Resolves when what the tally says is on the disk. */
  readonly save: () => Promise<void>
  /** Requests that are under way at once. */
  readonly concurrency: number
  readonly keepCredentials: boolean
  readonly random: Random
  /** Told after each entry: how much of the recording is behind us, from 0 to 1. */
  readonly onShare: (share: number) => void
}

export type ReplayEnd =
  | { readonly kind: 'finished' }
  | { readonly kind: 'stopped' }
  /** So many of its answers failed to come, one after another, that asking on is of no use. */
  | { readonly kind: 'down'; readonly side: Side; readonly origin: string; readonly reason: ShadowFailure }

/** Failures of one side in a row after which it is taken to be gone. */
export const MOST_FAILURES = 20

/** @param stop what is under way is finished then, and nothing more is begun */
export async function run(replaying: ReplayContext, stop: AbortSignal): Promise<ReplayEnd> {
  const { recording, prepare, tally, save, concurrency, onShare } = replaying
  const underWay = new Set<Promise<void>>()
  const watch = watchSides()
  const trouble: unknown[] = []
  const isOver = () => stop.aborted || watch.down() !== undefined || trouble.length > 0

  for await (const { at, share, read } of recording.entries(tally.through())) {
    while (underWay.size >= concurrency && !isOver()) await Promise.race(underWay)
    // Not counted, so it is the first to be looked at when the run goes on.
    if (isOver()) break
    onShare(share)
    if (read.kind === 'unreadable') tally.unreadable(at, read.why)
    else {
      const prepared = read.kind === 'request' ? prepare(read.request, at) : read.reason
      if (typeof prepared === 'string') tally.skip(at, prepared)
      else {
        tally.begin(at)
        const one = replay(at, prepared)
          .catch((error: unknown) => void trouble.push(error))
          .finally(() => underWay.delete(one))
        underWay.add(one)
      }
    }
  }
  await Promise.all(underWay)
  if (trouble.length > 0) throw trouble[0]
  await save()
  return watch.down() ?? (stop.aborted ? { kind: 'stopped' } : { kind: 'finished' })

  async function replay(at: number, prepared: Prepared): Promise<void> {
    const of = tally.of(prepared)
    // Chosen before anything is asked: pairs of requests that turn out to differ would be of requests that differ.
    const isPaired = rollOf(replaying.random) < of.pairShare(prepared.shadow.noise)
    await replaying.paces.legacy.turn()
    await save()
    const legacy = await ask('legacy', prepared)
    if (legacy.kind !== 'answered') return count(() => of.failed('primary'))
    of.answered(legacy.answer.status)
    await replaying.paces.service.turn()
    const service = await ask('service', prepared)
    if (service.kind === 'failed') return count(() => of.failed(service.reason))
    if (service.kind === 'shed') return count(() => of.failed('internal'))
    const { rules, redaction } = replaying.meaningOf(prepared.shadow)
    const comparison = compared(legacy.answer, service.answer, rules)
    count(() => of.compared(comparison, at, prepared, redaction))
    if (!isPaired) return
    await replaying.paces.legacy.turn()
    const again = await ask('legacy', prepared)
    if (again.kind === 'answered') of.paired(compared(legacy.answer, again.answer, rules))

    /** In one step: what is written down at any time has each request in one place. */
    function count(where: () => void): void {
      where()
      tally.end(at)
    }
  }

  async function ask(side: Side, prepared: Prepared): Promise<CopyResult> {
    const request = prepared[side]
    const { maxBodyBytes, timeoutMs } = prepared.shadow
    const identities = replaying.keepCredentials ? 'keep' : 'strip'
    const fields = copyFields(request, '1', identities, replaying.random.hex(8))
    const asked = await replaying.asker.ask(request, fields, undefined, { maxBodyBytes, timeoutMs })
    watch.see(side, request, asked)
    return asked
  }
}

function compared(legacy: ComparedResponse, other: ComparedResponse, rules: CompiledRules): Comparison {
  try {
    return compareAnswers(legacy, other, rules)
  } catch {
    return { kind: 'uncomparable', reason: 'crashed' }
  }
}

/** From 0 to below 1. */
function rollOf(random: Random): number {
  return Number.parseInt(random.hex(4), 16) / 2 ** 32
}

/** Failures in a row, by address: of several services one alone may be gone. */
function watchSides() {
  const inRow = new Map<string, number>()
  let down: Extract<ReplayEnd, { kind: 'down' }> | undefined
  return {
    down: () => down,
    see: (side: Side, { origin }: CopyRequest, asked: CopyResult) => {
      // What could not even be sent says nothing of the side.
      if (asked.kind === 'failed' && asked.reason === 'internal') return
      const failures = asked.kind === 'failed' ? (inRow.get(origin) ?? 0) + 1 : 0
      inRow.set(origin, failures)
      if (asked.kind === 'failed' && failures >= MOST_FAILURES)
        down ??= { kind: 'down', side, origin, reason: asked.reason }
    },
  }
}
