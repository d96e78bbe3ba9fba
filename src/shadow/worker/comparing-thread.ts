// Runs the comparing thread from the gateway's side: sends it jobs in batches, watches it, and replaces it when it fails.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { withTimeout } from '../../lib/timeout.ts'
import type { Rulings, Uncomparable } from '../../model/comparison.ts'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import type { WorkerData } from './compare-worker.ts'
import { type Job, type PackedCopy, packFields, type ThreadInput, type ThreadReport } from './messages.ts'
import { SharedValues } from './shared-values.ts'
import { ThreadWatchdog, type WatchdogLimits } from './thread-watchdog.ts'

export type ThreadListener = {
  readonly onReport: (report: ThreadReport) => void
  /** The thread has ended with these jobs, each with the reason why there is no comparison. */
  readonly onLost: (lost: readonly LostJob[], why: string) => void
  /** Counts of earlier threads and other gateways, for a thread that starts. */
  readonly loadCounts: () => Promise<readonly RouteCounts[]>
}

export type LostJob = { readonly id: number; readonly reason: Uncomparable }

export type ThreadLimits = WatchdogLimits & {
  readonly heapMb: number
  /** The pause before a failed thread is replaced: a thread that cannot run must not be started for each request. */
  readonly restartDelayMs: number
}

type ComparingThreadOptions = {
  readonly listener: ThreadListener
  readonly limits?: ThreadLimits
  /** The script of the thread. */
  readonly file?: string | URL
}

/** The public part of `ComparingThread`, which tests replace. */
export type ThreadHandle = Pick<ComparingThread, keyof ComparingThread>

const LIMITS: ThreadLimits = {
  heapMb: 256,
  maxComparisonMs: 5000,
  maxSilenceMs: 60_000,
  checkIntervalMs: 500,
  restartDelayMs: 1000,
}
const FILE = new URL(`./compare-worker${extname(import.meta.url)}`, import.meta.url)
/** Bytes of responses that the thread holds. */
const MAX_BYTES = 64 * 1024 * 1024
/** Jobs are sent in batches: the overhead of a message is as large as the cost of a job in it. */
const BATCH_SIZE = 32
const BATCH_MS = 10

/** The thread starts with the first job. */
export class ComparingThread {
  readonly #listener: ThreadListener
  readonly #limits: ThreadLimits
  readonly #file: string | URL
  readonly #sharedMemory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)
  readonly #watchdog: ThreadWatchdog
  readonly #values = new SharedValues()
  /** Ids of jobs whose result was not received yet. */
  readonly #pending = new Set<number>()
  #worker: Worker | undefined
  #batch: Job[] = []
  #batchTimer: NodeJS.Timeout | undefined
  #watchTimer: NodeJS.Timeout | undefined
  #rulings: Readonly<Record<string, Rulings>> = {}
  #restartAt = 0
  #isStopped = false
  #onIdle: (() => void) | undefined

  constructor({ listener, limits = LIMITS, file = FILE }: ComparingThreadOptions) {
    this.#listener = listener
    this.#limits = limits
    this.#file = file
    this.#watchdog = new ThreadWatchdog(limits, new Int32Array(this.#sharedMemory))
  }

  /** The number by which jobs refer to a policy. */
  numberOf(policy: ShadowPolicy): number {
    return this.#values.numberOf(policy)
  }

  packCopy({ fields, identityFields, tls, ...request }: CopyRequest): PackedCopy {
    return {
      ...request,
      tls: tls === undefined ? undefined : this.#values.numberOf(tls),
      fields: packFields(fields),
      identityFields: packFields(identityFields),
    }
  }

  send(job: Job): void {
    // An idle thread does not report.
    if (this.#pending.size === 0) this.#watchdog.noteReport()
    this.#pending.add(job.id)
    if (this.#batch.push(job) >= BATCH_SIZE) this.#flush()
    else this.#batchTimer ??= setTimeout(() => this.#flush(), BATCH_MS)
  }

  pendingJobs(): number {
    return this.#pending.size
  }

  /** @param rulings by `routeKey`; they replace all earlier ones */
  setRulings(rulings: Readonly<Record<string, Rulings>>): void {
    this.#rulings = rulings
    this.#worker?.postMessage({ rulings } satisfies ThreadInput)
  }

  /** Resolves when all jobs have ended, or after `limitMs`. */
  async finish(limitMs: number): Promise<void> {
    this.#flush()
    if (this.#pending.size === 0 || this.#worker === undefined) return
    this.#worker.postMessage({ isFinal: true } satisfies ThreadInput)
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    await withTimeout(limitMs, idle, undefined)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#watchTimer)
    clearTimeout(this.#batchTimer)
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #flush(): void {
    clearTimeout(this.#batchTimer)
    this.#batchTimer = undefined
    if (this.#batch.length === 0) return
    const delayMs = this.#worker === undefined ? this.#restartAt - performance.now() : 0
    if (delayMs > 0) {
      // The jobs wait and count as pending; beyond the limit of pending jobs, new ones are shed.
      this.#batchTimer = setTimeout(() => this.#flush(), delayMs)
      return
    }
    const input: ThreadInput = { jobs: this.#batch, ...this.#values.takeUnsent() }
    this.#batch = []
    try {
      this.#worker ??= this.#start()
      this.#worker.postMessage(input)
    } catch (error) {
      // The system refuses a new thread. An error that is thrown in a timer would end the gateway.
      this.#lose(this.#worker, messageOf(error))
      return
    }
    if (this.#values.isFull) this.#values.reset()
  }

  #start(): Worker {
    const worker = new Worker(this.#file, {
      name: 'compare',
      workerData: { sharedMemory: this.#sharedMemory, maxBytes: MAX_BYTES } satisfies WorkerData,
      resourceLimits: { maxOldGenerationSizeMb: this.#limits.heapMb },
    })
    this.#watchdog.noteStart()
    worker
      .on('message', (report: ThreadReport) => this.#receive(worker, report))
      .on('error', (error) => this.#lose(worker, messageOf(error)))
      .on('exit', () => this.#lose(worker, 'it ended'))
    worker.postMessage({ rulings: this.#rulings } satisfies ThreadInput)
    void this.#listener.loadCounts().then(
      (counts) => this.#worker === worker && worker.postMessage({ counts } satisfies ThreadInput),
      () => {},
    )
    this.#watchTimer ??= setInterval(() => this.#check(), this.#limits.checkIntervalMs)
    this.#watchTimer.unref()
    worker.unref()
    return worker
  }

  #receive(worker: Worker, report: ThreadReport): void {
    // Late messages of a lost thread still arrive, but its jobs have been counted as lost.
    if (this.#worker !== worker) return
    this.#watchdog.noteReport()
    for (const { id } of report.results) this.#pending.delete(id)
    this.#listener.onReport(report)
    if (this.#pending.size === 0) this.#onIdle?.()
  }

  #check(): void {
    const stall = this.#watchdog.check(this.#pending.size > 0)
    if (stall !== undefined && this.#worker !== undefined) this.#lose(this.#worker, stall.why, stall.culprit)
  }

  /** @param culprit the id of the job whose comparison does not end */
  #lose(worker: Worker | undefined, why: string, culprit?: number): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    void worker?.terminate()
    const lost = [...this.#pending]
    // The next thread knows no shared values, so the waiting jobs cannot be sent to it.
    this.#pending.clear()
    this.#batch = []
    this.#values.reset()
    this.#restartAt = performance.now() + this.#limits.restartDelayMs
    if (this.#isStopped) return
    this.#listener.onLost(
      lost.map((id) => ({ id, reason: id === culprit ? 'out-of-time' : 'crashed' })),
      why,
    )
    this.#onIdle?.()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
