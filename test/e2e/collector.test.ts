// Garbage collection in the process that serves: the V8 options, as the process reports them.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { STRANGLER, startGatewayProcess } from '../kit/process.ts'
import { shop } from '../kit/shop.ts'

/** One of the processors that this process may run on, as `taskset` takes it. */
const ONE = [
  'taskset',
  '-c',
  /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0',
]

async function startOn(
  under: readonly string[],
  how: { readonly node?: readonly string[]; readonly channel?: boolean } = {},
) {
  const { url } = await startNamedOrigin('legacy')
  const config = { ...shop({ legacy: url, service: url }), drain: { noticeMs: 0, limitMs: 1000 } }
  const gateway = await startGatewayProcess(config, { under, ...how })
  const commandLine = await readFile(`/proc/${gateway.pid}/cmdline`, 'utf8')
  return { gateway, options: commandLine.split('\0').filter((word) => word.includes('-gc')) }
}

describe('with one processor, one thread collects garbage', () => {
  it('in the process that was started: its id, its signals and its exit code do not change', async () => {
    const { gateway, options } = await startOn(ONE)
    expect(options).toEqual(['--single-threaded-gc'])
    expect((await sendRequest({ port: gateway.port, path: '/products' })).status).toBe(200)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toEqual({ code: 0, signal: null })
  })

  it('unless the start command sets the option', async () => {
    const { gateway, options } = await startOn(ONE, { node: ['--no-single-threaded-gc'] })
    expect(options).toEqual(['--no-single-threaded-gc'])
    expect((await sendRequest({ port: gateway.port, path: '/products' })).status).toBe(200)
  })

  it('unless its parent uses an IPC channel, which a restart would lose', async () => {
    const { gateway, options } = await startOn(ONE, { channel: true })
    expect(options).toEqual([])
    expect((await sendRequest({ port: gateway.port, path: '/products' })).status).toBe(200)
  })

  it('unless Node cannot find its own path, as without /proc: then it serves without the option', async () => {
    const lost = join(await mkdtemp(join(tmpdir(), 'strangler-lost-')), 'lost.cjs')
    await writeFile(lost, "process.execPath = '/no/such/node'")
    const { gateway, options } = await startOn(ONE, { node: ['--require', lost] })
    await rm(dirname(lost), { recursive: true })
    expect(options).toEqual([])
    expect((await sendRequest({ port: gateway.port, path: '/products' })).status).toBe(200)
  })

  it.runIf(availableParallelism() > 1)('and with more than one, as Node does by itself', async () => {
    expect((await startOn([])).options).toEqual([])
  })
})

it('V8 does not pretenure objects by feedback of the start', async () => {
  // V8 would print each pretenuring decision on stdout, and the first collections happen before the first request.
  const guesses = (command: string) =>
    new Promise<number>((resolve) => {
      const traced = ['--trace-pretenuring-statistics', STRANGLER, command, '--config', 'no-such-file.ts']
      const child = spawn(process.execPath, traced, { stdio: ['ignore', 'pipe', 'ignore'] })
      let output = ''
      child.stdout.on('data', (piece) => {
        output += piece
      })
      child.on('close', () => resolve(output.split('pretenuring:').length - 1))
    })
  expect(await guesses('check')).toBeGreaterThan(0)
  expect(await guesses('serve')).toBe(0)
})
