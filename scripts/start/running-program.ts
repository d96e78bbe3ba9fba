// One started program: its log, whether it is ready, how it is stopped.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { Program } from './programs.ts'

const LONGEST_START_MS = 30_000
const LONGEST_STOP_MS = 40_000 // longer than the gateway's own drain limit
const BETWEEN_QUESTIONS_MS = 50

export class RunningProgram {
  readonly program: Program
  /** Settles when the program has ended, by itself or not: says how. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  #alive = true

  constructor(program: Program, print: (line: string) => void) {
    this.program = program
    this.#child = spawn(process.execPath, [...program.args], {
      env: { ...process.env, ...program.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches only us, and we stop them in good order.
      detached: true,
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) printLines(stream, print)
    this.ended = new Promise((resolve) => {
      const settle = (how: string): void => {
        this.#alive = false
        resolve(how)
      }
      this.#child.once('error', (error) => settle(`could not be started: ${error.message}`))
      this.#child.once('close', (code, signal) =>
        settle(signal ? `ended by ${signal}` : `ended with exit code ${code}`),
      )
    })
  }

  /** Asks until it answers that it is ready. Throws the sentence that says why it never will be. */
  async ready(): Promise<void> {
    const { name, readyUrl } = this.program
    const deadline = Date.now() + LONGEST_START_MS
    while (this.#alive) {
      if (await answersOk(readyUrl)) return
      if (Date.now() > deadline)
        throw new Error(`${name} is not ready after ${LONGEST_START_MS / 1000} s (${readyUrl})`)
      await pause(BETWEEN_QUESTIONS_MS)
    }
    throw new Error(`${name} ${await this.ended}`)
  }

  async stop(): Promise<void> {
    if (!this.#alive) return
    const impatience = setTimeout(() => this.kill(), LONGEST_STOP_MS)
    this.#child.kill(this.program.stopSignal)
    await this.ended
    clearTimeout(impatience)
  }

  /** At once, and whatever it may have started. */
  kill(): void {
    if (!this.#alive || this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // it was faster
    }
  }
}

async function answersOk(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(1000) })
    await answer.body?.cancel()
    return answer.ok
  } catch {
    return false // not yet
  }
}

function printLines(stream: Readable | null, print: (line: string) => void): void {
  if (!stream) return
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', print)
}
