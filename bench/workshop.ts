// Everything a run has started and written, in one place, so that nothing is left over however the run ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** The proxy under measurement has a processor to itself; the load and the origin share the other. */
export const PROCESSORS = { peer: 1, load: 0 } as const

/** How long something may take to end by itself; a drain is not what is measured here. */
const POLITE_MS = 1000

export const INTERRUPTED = 130

export type Launch = {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export type Running = {
  readonly name: string
  readonly pid: number
  readonly outputFile: string
  readonly exited: Promise<number | string>
  hasExited(): boolean
  /** Asks with this signal; the whole process group goes. */
  signal(name: NodeJS.Signals): void
  stop(): Promise<void>
  /** What it last said on stderr and stdout, for the message of a failure. */
  lastWords(): string
}

export class Workshop {
  readonly #directory = mkdtempSync(join(tmpdir(), 'strangler-bench-'))
  readonly #running = new Set<Running>()
  #made = 0

  constructor() {
    process.once('exit', () => this.clear())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => this.#interrupt())
  }

  newDirectory(name: string): string {
    const path = join(this.#directory, `${++this.#made}-${name}`)
    mkdirSync(path)
    return path
  }

  discard(directory: string): void {
    rmSync(directory, { recursive: true, force: true })
  }

  start(name: string, processor: number, directory: string, launch: Launch): Running {
    const outputFile = join(directory, `${name}.out`)
    const errorFile = join(directory, `${name}.err`)
    const [output, errors] = [openSync(outputFile, 'w'), openSync(errorFile, 'w')]
    // A group of its own: nginx's workers go with their master, and Ctrl-C reaches them only through us.
    const child = spawn('taskset', ['-c', String(processor), launch.command, ...launch.args], {
      cwd: directory,
      detached: true,
      env: { ...process.env, ...launch.env },
      stdio: ['ignore', output, errors],
    })
    closeSync(output)
    closeSync(errors)
    const running = track(name, child, outputFile, errorFile)
    this.#running.add(running)
    void running.exited.then(() => this.#running.delete(running))
    return running
  }

  // Awaits the ends, so that every child is reaped; what the run itself makes of losing them is nobody's concern any more.
  #interrupt(): void {
    process.exitCode = INTERRUPTED
    void Promise.all([...this.#running].map((running) => running.stop())).then(() => process.exit(INTERRUPTED))
  }

  /** Synchronous: the last thing a run does, also on Ctrl-C and after a crash. */
  clear(): void {
    if (this.#running.size > 0) {
      for (const running of this.#running) running.signal('SIGTERM')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200) // masters reap their workers
      for (const running of this.#running) running.signal('SIGKILL')
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function track(name: string, child: ChildProcess, outputFile: string, errorFile: string): Running {
  const pid = child.pid ?? 0
  const exited = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
  const hasExited = () => pid === 0 || child.exitCode !== null || child.signalCode !== null
  const signal = (word: NodeJS.Signals) => {
    if (pid !== 0) killGroup(pid, word)
  }
  const stop = async () => {
    signal('SIGTERM')
    await Promise.race([exited, pause(POLITE_MS, undefined, { ref: false })])
    signal('SIGKILL')
    await exited
  }
  const lastWords = () => [errorFile, outputFile].map(tailOf).filter(Boolean).join('\n')
  return { name, pid, outputFile, exited, hasExited, signal, stop, lastWords }
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function tailOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).join('\n')
  } catch {
    return ''
  }
}

// Below the kernel's ephemeral range, so that a kept-alive connection of the run itself cannot take the port first.
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await canListen(port)) return port
  }
  throw new Error('no free port between 20000 and 32000')
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
