// A real Redis on a free port, with its own folder.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { whenOver } from './lifetime.ts'
import { freePort } from './origin.ts'
import { START_LIMIT_MS, until } from './until.ts'

const run = promisify(execFile)

export type RedisProcess = {
  readonly url: string
  readonly port: number
  readonly folder: string
  /** Runs a command with redis-cli. @returns its output */
  readonly cli: (...args: readonly string[]) => Promise<string>
  /** Kills it (SIGKILL). */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port, with the data of the last `SAVE`; without one it is empty. */
  readonly restart: () => Promise<void>
  /** Suspends it: its connections stay open without answers. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Deletes all data. */
  readonly flush: () => Promise<void>
}

export type RedisProcessOptions = {
  /** Further arguments, such as `['--requirepass', 'secret']`. */
  readonly args?: readonly string[]
  /** The credentials of redis-cli, such as `['-a', 'secret']`. */
  readonly cliArgs?: readonly string[]
  /** The port. Default: a free port. */
  readonly port?: number
  /** `--sentinel` runs a Sentinel with this file as its configuration. */
  readonly configFile?: string
}

/** Starts a Redis that is killed when the test is over. */
export async function startRedis({
  args = [],
  cliArgs = [],
  port,
  configFile,
}: RedisProcessOptions = {}): Promise<RedisProcess> {
  await needRedis()
  const ownPort = port ?? (await freePort())
  const folder = await mkdtemp(join(tmpdir(), 'strangler-redis-'))
  const command = [
    ...(configFile === undefined ? [] : [configFile]),
    ...['--port', String(ownPort), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
    ...args,
  ]
  const cli = async (...words: readonly string[]) => {
    const { stdout } = await run('redis-cli', ['-p', String(ownPort), '--no-auth-warning', ...cliArgs, ...words])
    return stdout.trim()
  }
  let child: ChildProcess | undefined
  const start = async () => {
    child = spawn('redis-server', command, { stdio: 'ignore' })
    child.once('error', () => {})
    await until(async () => (await cli('PING').catch(() => '')) === 'PONG', START_LIMIT_MS)
  }
  const kill = async () => {
    const gone = child
    if (gone === undefined || gone.exitCode !== null || gone.signalCode !== null) return
    const exited = new Promise((resolve) => gone.once('exit', resolve))
    gone.kill('SIGKILL')
    await exited
  }
  whenOver(async () => {
    await kill()
    await rm(folder, { recursive: true, force: true })
  })
  await start()
  return {
    url: `redis://127.0.0.1:${ownPort}`,
    port: ownPort,
    folder,
    cli,
    kill,
    restart: async () => {
      await kill()
      await start()
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    flush: async () => void (await cli('FLUSHALL')),
  }
}

let needed: Promise<void> | undefined

/** Checks once per process that Redis is installed. Installs it if possible without interaction. */
export function needRedis(): Promise<void> {
  needed ??= isInstalled().then(async (isThere) => {
    if (!isThere) await install()
  })
  return needed
}

async function install(): Promise<void> {
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    await run('apt-get', ['update']).catch(() => {})
    await run('apt-get', ['install', '-y', 'redis-server'], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).catch(() => {})
  }
  if (!(await isInstalled()))
    throw new Error(
      'these tests run on a real Redis: install redis-server and redis-cli, such as by "apt-get install redis-server"',
    )
}

async function isInstalled(): Promise<boolean> {
  try {
    await run('redis-server', ['--version'])
    await run('redis-cli', ['--version'])
    return true
  } catch {
    return false
  }
}
