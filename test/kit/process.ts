// A gateway in its own process, as an operator runs it: for signals, kills and limits of the operating system.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { flagFile } from './gateway.ts'
import { whenOver } from './lifetime.ts'
import { START_LIMIT_MS, until } from './until.ts'

export const STRANGLER = fileURLToPath(new URL('../../bin/strangler.js', import.meta.url))

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type GatewayProcess = {
  readonly port: number
  readonly adminPort: number
  readonly folder: string
  readonly pid: number
  readonly signal: (signal: NodeJS.Signals) => void
  readonly exited: Promise<Exit>
  /** The application log so far: the process's stderr. */
  readonly log: () => string
  readonly accessLog: () => Promise<Readonly<Record<string, unknown>>[]>
  readonly metric: (sample: string) => Promise<number>
  readonly readyz: () => Promise<number>
  /** The body of `/readyz`. */
  readonly readiness: () => Promise<Readonly<Record<string, unknown>>>
  /** Open file descriptors. */
  readonly openFiles: () => Promise<number>
  /** Resident memory in bytes. */
  readonly memory: () => Promise<number>
  readonly writeConfig: (text: string) => Promise<void>
}

export type GatewayProcessOptions = {
  readonly percentages?: Readonly<Record<string, number>>
  readonly args?: readonly string[]
  /** A command that runs the gateway, such as `['prlimit', '--nofile=128']`. */
  readonly under?: readonly string[]
  /** Options of Node itself. */
  readonly node?: readonly string[]
  /** Whether the process and its parent can send each other messages, as with `child_process.fork`. */
  readonly channel?: boolean
  /** The file of the command. Default: that of this repository. */
  readonly strangler?: string
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts `strangler serve` on free ports; it is killed when the test is over, or the file that shares it, if it still runs. */
export async function startGatewayProcess(
  config: object,
  {
    percentages = {},
    args = [],
    under = [],
    node = [],
    channel = false,
    strangler = STRANGLER,
    env = {},
  }: GatewayProcessOptions = {},
): Promise<GatewayProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-process-'))
  const configFile = join(folder, 'routes.config.json')
  await writeFile(configFile, JSON.stringify(config))
  await writeFile(join(folder, 'flags.json'), flagFile(percentages))
  const command = [
    ...under,
    process.execPath,
    ...node,
    strangler,
    'serve',
    '--config',
    configFile,
    '--port=0',
    '--admin-port=0',
    '--state-dir',
    join(folder, 'state'),
    '--access-log',
    join(folder, 'access.log'),
    ...args,
  ]
  const child = spawn(command[0] as string, command.slice(1), {
    stdio: ['ignore', 'ignore', 'pipe', ...(channel ? ['ipc' as const] : [])],
    // Tests read a metric right after the event that it counts.
    env: { ...withoutProductVariables(process.env), STRANGLER_METRICS_CACHE_MS: '0', ...env },
  })
  const { log, exited } = follow(child)
  whenOver(async () => {
    child.kill('SIGKILL')
    await exited
    await rm(folder, { recursive: true, force: true })
  })

  const portOf = (listener: string) =>
    Number(new RegExp(`"what":"${listener}",[^\\n]*"port":(\\d+)`).exec(log())?.[1] ?? 0)
  let hasExited = false
  void exited.then(() => {
    hasExited = true
  })
  await until(() => hasExited || (portOf('gateway') > 0 && portOf('admin') > 0), START_LIMIT_MS)
  if (hasExited) throw new Error(`the gateway did not start: ${log()}`)
  const [port, adminPort, pid] = [portOf('gateway'), portOf('admin'), child.pid as number]
  const admin = `http://127.0.0.1:${adminPort}`

  return {
    port,
    adminPort,
    folder,
    pid,
    signal: (signal) => void child.kill(signal),
    exited,
    log,
    accessLog: async () => {
      const text = await readFile(join(folder, 'access.log'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    metric: async (sample) => {
      const lines = (await (await fetch(`${admin}/metrics`)).text()).split('\n')
      const line = lines.find((text) => text.startsWith(`${sample} `))
      return line === undefined ? 0 : Number(line.slice(sample.length + 1))
    },
    readyz: async () => {
      const answer = await fetch(`${admin}/readyz`)
      await answer.text()
      return answer.status
    },
    readiness: async () => (await (await fetch(`${admin}/readyz`)).json()) as Readonly<Record<string, unknown>>,
    openFiles: async () => (await readdir(`/proc/${pid}/fd`)).length,
    memory: async () => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
    },
    writeConfig: async (text) => {
      await writeFile(`${configFile}.next`, text)
      await rename(`${configFile}.next`, configFile)
    },
  }
}

export type CommandResult = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Runs one `strangler` command to its end. */
export async function runStrangler(
  args: readonly string[],
  { cwd, env = {}, command = STRANGLER }: { cwd?: string; env?: Record<string, string>; command?: string } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutProductVariables(process.env), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  let stdout = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  const { log, exited } = follow(child)
  whenOver(() => child.kill('SIGKILL'))
  const { code } = await exited
  return { code, stdout, stderr: log() }
}

/** The environment without variables of the gateway, so that the machine's settings do not affect the tests. */
export function withoutProductVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^(STRANGLER_|UNLEASH_|REDIS_URL$|CI$|NODE_ENV$)/.test(name)),
  )
}

function follow(child: ChildProcess): { log: () => string; exited: Promise<Exit> } {
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk
  })
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  return { log: () => text, exited }
}
