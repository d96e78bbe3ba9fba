// Reads the processor time and the memory of a process tree from /proc.
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which proc(5) counts in: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

export type Usage = { readonly cpuMs: number; readonly rssMiB: number; readonly rssPeakMiB: number }

export function usageOf(rootPid: number): Usage {
  let [ticks, rssKiB, peakKiB] = [0, 0, 0]
  for (const pid of treeOf(rootPid)) {
    ticks += cpuTicks(pid)
    rssKiB += statusKiB(pid, 'VmRSS')
    peakKiB += statusKiB(pid, 'VmHWM')
  }
  return { cpuMs: (ticks / TICKS_PER_SECOND) * 1000, rssMiB: rssKiB / 1024, rssPeakMiB: peakKiB / 1024 }
}

/** Milliseconds that the main thread of a process has computed, and all its other threads together. */
export function threadsOf(pid: number): { readonly mainMs: number; readonly othersMs: number } {
  let [main, others] = [0, 0]
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const ticks = ownTicks(readOrEmpty(`/proc/${pid}/task/${thread}/stat`))
    if (thread === String(pid)) main += ticks
    else others += ticks
  }
  return { mainMs: (main / TICKS_PER_SECOND) * 1000, othersMs: (others / TICKS_PER_SECOND) * 1000 }
}

/** The busy time of a processor in milliseconds: all programs, the kernel, and time that the hypervisor gave to other machines. */
export function processorBusyMs(processor: number): number {
  const line = readFileSync('/proc/stat', 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`cpu${processor} `))
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = (line ?? '').split(/\s+/).slice(1).map(Number)
  return ((user + nice + system + steal) / TICKS_PER_SECOND) * 1000
}

function treeOf(rootPid: number): number[] {
  const childrenOf = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const parent = Number(statFields(Number(entry))[1])
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(entry)])
  }
  const tree = [rootPid]
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []))
  return tree
}

// utime + stime, and the same of children already gone (fields 14 to 17 of proc(5), counted after the command's name).
function cpuTicks(pid: number): number {
  return statFields(pid)
    .slice(11, 15)
    .reduce((sum, field) => sum + Number(field), 0)
}

function ownTicks(stat: string): number {
  const [user = 0, system = 0] = fieldsOf(stat).slice(11, 13).map(Number)
  return user + system
}

function statFields(pid: number): string[] {
  return fieldsOf(readOrEmpty(`/proc/${pid}/stat`))
}

function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function statusKiB(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0)
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended between the listing and the reading
  }
}
