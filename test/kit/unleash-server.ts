// A real Unleash in its own processes, with an embedded database (the package is in unleash/). It does not import vitest, because
// `npm run unleash` uses it, too.
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type UnleashServer = {
  /** The address, such as `http://127.0.0.1:4242`; the API is below `/api`. It stays the same after a restart. */
  readonly url: string
  /** A backend token for the environment `development`. */
  readonly clientToken: string
  readonly adminToken: string
  /** The password of the user `admin`. */
  readonly password: string
  /** Rejects if one of its processes ends unexpectedly; never resolves. */
  readonly broken: Promise<never>
  /** Suspends it: connections stay open without answers, until `thaw`. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Kills it; the database stays. */
  readonly kill: () => Promise<void>
  /** Restarts it with its flags and tokens, after killing it if it still runs. */
  readonly restart: () => Promise<void>
  /** Stops it and deletes its database. */
  readonly stop: () => Promise<void>
}

export type UnleashServerOptions = {
  /** 0 selects a free port. */
  readonly port?: number
  readonly clientToken?: string
  readonly adminToken?: string
  readonly password?: string
}

const PACKAGE = fileURLToPath(new URL('./unleash/', import.meta.url))
const HEX = () => randomBytes(16).toString('hex')

/** @throws if it is not installed, or ends before it listens; the message says why */
export async function startUnleashServer({
  port = 0,
  clientToken = `*:development.${HEX()}`,
  adminToken = `*:*.${HEX()}`,
  password = HEX(),
}: UnleashServerOptions = {}): Promise<UnleashServer> {
  if (!existsSync(join(PACKAGE, 'node_modules/unleash-server')))
    throw new Error('the Unleash of the test kit is not installed: run "node scripts/install-test-kit.js"')
  const folder = await mkdtemp(join(tmpdir(), 'unleash-'))
  const running: Child[] = []
  process.once('exit', leaveNothing)
  let tellBroken: (error: Error) => void
  const broken = new Promise<never>((_resolve, reject) => {
    tellBroken = reject
  })
  broken.catch(() => {}) // a caller that does not await it fails at its next request
  let unleash: Child | undefined
  let database: Child | undefined
  let listening = port

  try {
    database = run('database.js', folder)
    await begin(database.firstMessage)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url: `http://127.0.0.1:${listening}`,
    clientToken,
    adminToken,
    password,
    broken,
    freeze: () => void unleash?.process.kill('SIGSTOP'),
    thaw: () => void unleash?.process.kill('SIGCONT'),
    kill,
    async restart() {
      await kill()
      await begin(Promise.resolve())
    },
    stop,
  }

  async function begin(databaseReady: Promise<unknown>): Promise<void> {
    unleash = run('server.js', JSON.stringify({ folder, port: listening, clientToken, adminToken, password }))
    await Promise.race([databaseReady, unleash.firstMessage])
    unleash.process.send({ start: true })
    const { port } = (await unleash.firstMessage) as { port: number }
    listening = port
  }

  async function kill(): Promise<void> {
    await unleash?.end()
    unleash = undefined
  }

  async function stop(): Promise<void> {
    await Promise.all(running.map((child) => child.end()))
    process.off('exit', leaveNothing)
    leaveNothing()
  }

  function leaveNothing(): void {
    for (const child of running) child.process.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }

  function run(file: string, argument: string): Child {
    const child = startChild(file, argument, (error) => tellBroken(error))
    running.push(child)
    return child
  }
}

type Child = {
  readonly process: ChildProcess
  /** The first message of the process, sent when it is ready. Rejects if the process ends before. */
  readonly firstMessage: Promise<unknown>
  readonly end: () => Promise<void>
}

function startChild(file: string, argument: string, onBroken: (error: Error) => void): Child {
  // The environment variables of the gateway and of vitest must not configure this Unleash.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(UNLEASH_|DATABASE_|NODE_OPTIONS|NODE_ENV|VITEST)/.test(name)),
  )
  const child = fork(join(PACKAGE, file), [argument], {
    env: { ...env, NODE_COMPILE_CACHE: join(PACKAGE, 'node_modules/.cache') },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let words = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      words = `${words}${chunk}`.slice(-4000)
    })
  let isWanted = false
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const firstMessage = new Promise<unknown>((resolve, reject) => {
    child.once('message', resolve)
    child.once('error', reject)
    child.once('close', (code) => {
      const error = new Error(`test/kit/unleash/${file} ended with ${code}: ${words}`)
      reject(error)
      if (!isWanted) onBroken(error)
    })
  })
  firstMessage.catch(() => {})
  return {
    process: child,
    firstMessage,
    async end() {
      isWanted = true
      child.kill('SIGKILL')
      await ended
    },
  }
}
