// The gateway's hold on the comparing thread: hands it jobs, watches it, and ends it when it does not come to an end.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Rulings, Uncomparable } from '../../model/comparison.ts'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { BUSY_WITH, type Job, type PackedCopy, type Parcel, pack, type Report, TURN } from './messages.ts'
import type { WorkerData } from './compare-worker.ts'

export type ComparingThread = {
  /** The number that jobs name it by; it is told once. */
  readonly know: (value: object) => number
  readonly pack: (copy: CopyRequest) => PackedCopy
  readonly send: (job: Job) => void
  /** Jobs that were sent and have not come to their end. */
  readonly underWay: () => number
  readonly rule: (rulings: Readonly<Record<string, Rulings>>) => void
  /** @returns when all that was sent has come to its end, or the time is up */
  readonly finish: (limitMs: number) => Promise<void>
  readonly stop: () => Promise<void>
}

export type ThreadListener = {
  readonly onReport: (report: Report) => void
  /** It is gone, with these jobs: each with why there is no comparison. */
  readonly onLost: (lost: readonly { readonly id: number; readonly reason: Uncomparable }[], why: string) => void
  /** What was learned before: asked for whenever a thread begins. */
  readonly counts: () => Promise<readonly RouteCounts[]>
}

export type ThreadLimits = {
  readonly heapMb: number
  /** A single comparison that takes longer will not end. */
  readonly comparingMs: number
  /** With jobs under way it reports four times a second. */
  readonly silentMs: number
  readonly watchMs: number
  /** After one has ended, before another begins: one that cannot run must not be begun for every request. */
  readonly restMs: number
}

const LIMITS: ThreadLimits = { heapMb: 256, comparingMs: 5000, silentMs: 60_000, watchMs: 500, restMs: 1000 }
const FILE = new URL(`./compare-worker${extname(import.meta.url)}`, import.meta.url)
/** Of answers that the thread holds while they are compared. */
const MOST_BYTES = 64 * 1024 * 1024
/** Jobs go over together: a message costs as much as what is in it. */
const BATCH = 32
const BATCH_MS = 10
/** A look that comes so much too late tells of the thread that looks. */
const HELD_UP_MS = 1000
/** Each edit of the config brings policies of its own: after so many the numbers begin anew. */
const MOST_KNOWN = 1000

/**
 * The thread begins with the first job.
 *
 * @param file what runs in it
 */
export function comparingThread(
  { onReport, onLost, counts }: ThreadListener,
  { heapMb, comparingMs, silentMs, watchMs, restMs }: ThreadLimits = LIMITS,
  file: string | URL = FILE,
): ComparingThread {
  const busy = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)
  const flags = new Int32Array(busy)
  let worker: Worker | undefined
  let isStopped = false
  /** Sent and not yet heard of. */
  const underWay = new Set<number>()
  let batch: Job[] = []
  let batchTimer: NodeJS.Timeout | undefined
  let numbers = new WeakMap<object, number>()
  let next = 0
  let toKnow: [number, ShadowPolicy][] = []
  let isAnew = false
  let rulings: Readonly<Record<string, Rulings>> = {}
  let watch: NodeJS.Timeout | undefined
  let heardAt = 0
  let lookedAt = 0
  let restAt = 0
  let lastTurn = 0
  let turnSince = 0
  let whenIdle: (() => void) | undefined

  return {
    know,
    pack: ({ fields, identityFields, tls, ...request }) => ({
      ...request,
      tls: tls === undefined ? undefined : know(tls),
      fields: pack(fields),
      identityFields: pack(identityFields),
    }),
    send,
    underWay: () => underWay.size,
    rule: (said) => {
      rulings = said
      worker?.postMessage({ rulings } satisfies Parcel)
    },
    finish,
    stop,
  }

  function know(value: object): number {
    const before = numbers.get(value)
    if (before !== undefined) return before
    numbers.set(value, next)
    toKnow.push([next, value as ShadowPolicy])
    return next++
  }

  function send(job: Job): void {
    // Until now it had nothing to say.
    if (underWay.size === 0) heardAt = performance.now()
    underWay.add(job.id)
    if (batch.push(job) >= BATCH) flush()
    else batchTimer ??= setTimeout(flush, BATCH_MS)
  }

  function flush(): void {
    clearTimeout(batchTimer)
    batchTimer = undefined
    if (batch.length === 0) return
    const restsMs = worker === undefined ? restAt - performance.now() : 0
    if (restsMs > 0) {
      // They wait, and count as under way: what comes beyond that is shed.
      batchTimer = setTimeout(flush, restsMs)
      return
    }
    const parcel: Parcel = { jobs: batch, known: toKnow, isAnew }
    batch = []
    toKnow = []
    isAnew = false
    try {
      worker ??= begin()
      worker.postMessage(parcel)
    } catch (error) {
      // The system gives no thread. Thrown from a timer, this would end the gateway.
      lose(worker, messageOf(error))
      return
    }
    if (next >= MOST_KNOWN) countAnew()
  }

  /** Jobs name nothing that was told before. */
  function countAnew(): void {
    numbers = new WeakMap()
    toKnow = []
    next = 0
    isAnew = true
  }

  function begin(): Worker {
    const begun = new Worker(file, {
      name: 'compare',
      workerData: { busy, mostBytes: MOST_BYTES } satisfies WorkerData,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    })
    heardAt = performance.now()
    Atomics.store(flags, BUSY_WITH, 0)
    begun
      .on('message', (report: Report) => {
        // What it had said is still read after it was given up, and has been counted by then.
        if (worker !== begun) return
        heardAt = performance.now()
        for (const { id } of report.ended) underWay.delete(id)
        onReport(report)
        if (underWay.size === 0) whenIdle?.()
      })
      .on('error', (error) => lose(begun, messageOf(error)))
      .on('exit', () => lose(begun, 'it ended'))
    begun.postMessage({ rulings } satisfies Parcel)
    void counts().then(
      (learned) => worker === begun && begun.postMessage({ counts: learned } satisfies Parcel),
      () => {},
    )
    watch ??= setInterval(look, watchMs)
    watch.unref()
    begun.unref()
    return begun
  }

  /** Whether it still comes to an end with what it does. */
  function look(): void {
    const at = performance.now()
    if (at - lookedAt > watchMs + HELD_UP_MS) heardAt = turnSince = at
    lookedAt = at
    const turn = Atomics.load(flags, TURN)
    const id = Atomics.load(flags, BUSY_WITH)
    if (id === 0 || turn !== lastTurn) {
      lastTurn = turn
      turnSince = at
    }
    if (worker === undefined) return
    if (id !== 0 && at - turnSince > comparingMs) lose(worker, `comparing took longer than ${comparingMs} ms`, id)
    else if (underWay.size > 0 && at - heardAt > silentMs) lose(worker, `it was silent for ${silentMs} ms`)
  }

  /** @param culprit the job that it did not come to an end with */
  function lose(which: Worker | undefined, why: string, culprit?: number): void {
    if (worker !== which) return
    worker = undefined
    void which?.terminate()
    const lost = [...underWay]
    // The next one has been told nothing, and what waits names numbers that this one knew.
    underWay.clear()
    batch = []
    countAnew()
    restAt = performance.now() + restMs
    if (isStopped) return
    onLost(
      lost.map((id) => ({ id, reason: id === culprit ? 'out-of-time' : 'crashed' })),
      why,
    )
    whenIdle?.()
  }

  async function finish(limitMs: number): Promise<void> {
    flush()
    if (underWay.size === 0 || worker === undefined) return
    worker.postMessage({ isLast: true } satisfies Parcel)
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, limitMs)
      whenIdle = () => {
        clearTimeout(limit)
        resolve()
      }
    })
  }

  async function stop(): Promise<void> {
    isStopped = true
    clearInterval(watch)
    clearTimeout(batchTimer)
    const last = worker
    worker = undefined
    await last?.terminate()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
