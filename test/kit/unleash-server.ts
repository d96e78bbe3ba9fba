// A real Unleash in processes of its own, on a database that needs no installation (unleash/ is their package).
// Without vitest: `npm run unleash` starts it for a person as well.
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type UnleashServer = {
  /** Where its pages are, such as `http://127.0.0.1:4242`; its API is below `/api`. The same after a restart. */
  readonly url: string
  /** A backend token for the environment `development`. */
  readonly clientToken: string
  readonly adminToken: string
  /** Of the user `admin`. */
  readonly password: string
  /** Rejects if one of its processes ends that was not ended here; never resolves. */
  readonly broken: Promise<never>
  /** Stops answering, with its connections open, until it is thawed. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Ends at once, as by a power cut; the database stays. */
  readonly kill: () => Promise<void>
  /** Starts again with the flags and tokens that it had, killing it first if it still runs. */
  readonly restart: () => Promise<void>
  /** Ends it and its database; what it kept is gone. */
  readonly stop: () => Promise<void>
}

export type UnleashServerOptions = {
  /** 0 takes a free one. */
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
  broken.catch(() => {}) // whoever wants to know listens; the others meet what they asked of it
  let unleash: Child | undefined
  let database: Child | undefined
  let listening = port

  try {
    database = run('database.js', folder)
    await begin(database.said)
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
    await Promise.race([databaseReady, unleash.said])
    unleash.process.send({ start: true })
    const { port } = (await unleash.said) as { port: number }
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
  /** What it says first: that it is there. Rejects if it ends instead. */
  readonly said: Promise<unknown>
  readonly end: () => Promise<void>
}

function startChild(file: string, argument: string, onBroken: (error: Error) => void): Child {
  // Whatever is set for the product where this runs, and for vitest, is not meant for this Unleash.
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
  const said = new Promise<unknown>((resolve, reject) => {
    child.once('message', resolve)
    child.once('error', reject)
    child.once('close', (code) => {
      const error = new Error(`test/kit/unleash/${file} ended with ${code}: ${words}`)
      reject(error)
      if (!isWanted) onBroken(error)
    })
  })
  said.catch(() => {})
  return {
    process: child,
    said,
    async end() {
      isWanted = true
      child.kill('SIGKILL')
      await ended
    },
  }
}
