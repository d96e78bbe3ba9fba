// One peer in one round: start it alone on its processor, check it, warm it, measure three workloads, stop it.
import { statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { type FullLoad, fullLoad, type PacedLoad, pacedLoad } from './load/load.ts'
import { DOWNLOAD_BYTES, type Origin, PATHS } from './origin.ts'
import type { Peer, Prepared } from './peers/peer.ts'
import { checkDownload, checkSplit } from './split-check.ts'
import { processorBusyMs, usageOf } from './usage.ts'
import { freePort, PROCESSORS, type Running, type Workshop } from './workshop.ts'

export const CONNECTIONS = { json: 64, download: 16 } as const
const LONGEST_START_MS = 15_000
const SHORTEST_LOG_LINE = 40

export type Round = {
  readonly requestsPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly downloadMiBps: number
  readonly pacedP50Us: number
  readonly pacedP99Us: number
  /** Undefined for `direct`, which has no process. */
  readonly cost: Cost | undefined
  /** The share of the peer's processor that other programs used while the small GETs were measured. */
  readonly disturbance: number
  readonly troubles: readonly string[]
}

export type Cost = {
  readonly cpuUsPerRequest: number
  readonly cpuUsPerMiB: number
  readonly rssPeakMiB: number
  readonly rssAfterMiB: number
}

export type Plan = {
  readonly seconds: number
  readonly warmUpSeconds: number
  /** The requests per second of the latency workload, for the measured peak. */
  rateAfter(peakPerSecond: number): number
}

type Subject = {
  readonly baseUrl: string
  readonly running?: Running
  readonly accessLog?: string
  readonly metricsUrl?: string
  stop(): Promise<void>
}

export async function measure(workshop: Workshop, origin: Origin, peer: Peer, plan: Plan): Promise<Round> {
  const subject = await startPeer(workshop, origin, peer)
  try {
    return await measureSubject(workshop, subject, plan)
  } catch (error) {
    const lastWords = subject.running?.lastWords()
    throw new Error(`${peer.name}: ${(error as Error).message}${lastWords ? `\n${lastWords}` : ''}`, { cause: error })
  } finally {
    await subject.stop()
  }
}

async function measureSubject(workshop: Workshop, subject: Subject, plan: Plan): Promise<Round> {
  if (subject.running) await checkSplit(subject.baseUrl)
  await checkDownload(subject.baseUrl)
  const url = { json: subject.baseUrl + PATHS.json, download: subject.baseUrl + PATHS.download }
  await fullLoad(workshop, url.json, CONNECTIONS.json, plan.warmUpSeconds)

  const json = await charged(subject, () => fullLoad(workshop, url.json, CONNECTIONS.json, plan.seconds))
  checkLogged(subject, json.result.requests)
  await checkCounted(subject, json.result.requests)
  await fullLoad(workshop, url.download, CONNECTIONS.download, 1)
  const download = await charged(subject, () => fullLoad(workshop, url.download, CONNECTIONS.download, plan.seconds))
  const requestsPerSecond = json.result.requests / json.result.seconds
  const paced = await pacedLoad(workshop, url.json, plan.rateAfter(requestsPerSecond), plan.seconds)
  if (subject.running?.hasExited()) throw new Error('it ended while it was measured')

  return {
    requestsPerSecond,
    p50Us: json.result.p50Us,
    p99Us: json.result.p99Us,
    downloadMiBps: (download.result.requests * DOWNLOAD_BYTES) / 2 ** 20 / download.result.seconds,
    pacedP50Us: paced.p50Us,
    pacedP99Us: paced.p99Us,
    cost: costOf(subject, json, download),
    disturbance: json.disturbance,
    troubles: [
      ...troublesOf('small GET', json.result),
      ...troublesOf('download', download.result),
      ...troublesOf('fixed rate', paced),
    ],
  }
}

type Charged = { readonly result: FullLoad; readonly cpuMs: number; readonly disturbance: number }

async function charged(subject: Subject, load: () => Promise<FullLoad>): Promise<Charged> {
  const cpuSoFarMs = () => (subject.running ? usageOf(subject.running.pid).cpuMs : 0)
  const [cpuBefore, busyBefore, startedAt] = [cpuSoFarMs(), processorBusyMs(PROCESSORS.peer), performance.now()]
  const result = await load()
  const cpuMs = cpuSoFarMs() - cpuBefore
  const othersMs = processorBusyMs(PROCESSORS.peer) - busyBefore - cpuMs
  return { result, cpuMs, disturbance: Math.max(0, othersMs / (performance.now() - startedAt)) }
}

function costOf({ running }: Subject, json: Charged, download: Charged): Cost | undefined {
  if (!running) return undefined
  const usage = usageOf(running.pid)
  return {
    cpuUsPerRequest: (json.cpuMs * 1000) / json.result.requests,
    cpuUsPerMiB: (download.cpuMs * 1000) / download.result.requests,
    rssPeakMiB: usage.rssPeakMiB,
    rssAfterMiB: usage.rssMiB,
  }
}

function troublesOf(workload: string, result: FullLoad | PacedLoad): string[] {
  const counts = {
    'answers that were not 2xx': result.notOk,
    'socket errors': result.socketErrors,
    timeouts: 'timeouts' in result ? result.timeouts : 0,
  }
  const nonZero = Object.entries(counts).filter(([, count]) => count > 0)
  return nonZero.map(([what, count]) => `${workload}: ${count} ${what} beside ${result.requests} requests`)
}

// A peer with an access log must have written it: otherwise it has done less work. Up to a tenth may still be in buffers.
function checkLogged({ accessLog }: Subject, requests: number): void {
  if (!accessLog) return
  const bytes = statSync(accessLog, { throwIfNoEntry: false })?.size ?? 0
  if (bytes < requests * 0.9 * SHORTEST_LOG_LINE)
    throw new Error(`its access log has ${bytes} bytes after ${requests} requests`)
}

async function checkCounted({ metricsUrl }: Subject, requests: number): Promise<void> {
  if (!metricsUrl) return
  const counters = (await (await fetch(metricsUrl)).text()).matchAll(/^\w*requests_total(?:\{.*\})? (\d+)/gm)
  const counted = [...counters].reduce((sum, [, count]) => sum + Number(count), 0)
  if (counted < requests) throw new Error(`its metrics count ${counted} requests after at least ${requests}`)
}

export async function startPeer(workshop: Workshop, origin: Origin, peer: Peer): Promise<Subject> {
  const { prepare } = peer
  if (!prepare) return { baseUrl: `http://127.0.0.1:${origin.ports.legacy}`, stop: async () => {} }
  const directory = workshop.newDirectory(peer.name)
  const port = await freePort()
  const prepared = prepare({ directory, port, adminPort: await freePort(), originPorts: origin.ports })
  const running = workshop.start(peer.name, PROCESSORS.peer, directory, prepared.launch)
  const baseUrl = `http://127.0.0.1:${port}`
  const stop = async () => {
    await running.stop()
    workshop.discard(directory)
  }
  await untilItAnswers(running, baseUrl)
  const accessLog = accessLogOf(prepared, running)
  const { metricsUrl } = prepared
  return { baseUrl, running, stop, ...(accessLog && { accessLog }), ...(metricsUrl && { metricsUrl }) }
}

function accessLogOf({ accessLog }: Prepared, running: Running): string | undefined {
  return accessLog === 'stdout' ? running.outputFile : accessLog
}

export async function untilItAnswers(running: Running, baseUrl: string): Promise<void> {
  const givesUpAt = performance.now() + LONGEST_START_MS
  while (performance.now() < givesUpAt) {
    if (running.hasExited()) break
    const response = await fetch(baseUrl + PATHS.json).catch(() => undefined)
    await response?.arrayBuffer()
    if (response?.ok) return
    await pause(50)
  }
  const how = running.hasExited() ? `ended with ${await running.exited}` : `did not answer in ${LONGEST_START_MS} ms`
  throw new Error(`${running.name} ${how} at its start\n${running.lastWords()}`)
}
