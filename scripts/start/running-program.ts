// A started program: its log, its readiness and its end.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { Program } from './programs.ts'

const LONGEST_START_MS = 30_000
const LONGEST_STOP_MS = 40_000 // longer than the gateway's own drain limit
const POLL_MS = 50

export class RunningProgram {
  readonly program: Program
  /** Resolves when the program has ended, with a description of the end. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  #alive = true

  constructor(program: Program, print: (line: string) => void) {
    this.program = program
    this.#child = spawn(process.execPath, [...program.args], {
      env: { ...process.env, ...program.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its own process group: Ctrl-C reaches only this process, which stops the programs in order.
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

  /** Waits until the program is ready. Throws with the reason if it ends, or after 30 seconds. */
  async ready(): Promise<void> {
    const { name, readyUrl } = this.program
    const deadline = Date.now() + LONGEST_START_MS
    while (this.#alive) {
      if (await answersOk(readyUrl)) return
      if (Date.now() > deadline)
        throw new Error(`${name} is not ready after ${LONGEST_START_MS / 1000} s (${readyUrl})`)
      await pause(POLL_MS)
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

  /** Kills the program and its child processes. */
  kill(): void {
    if (!this.#alive || this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // It has ended already.
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
