// The shop as `npm start` runs it, with ports and data of its own and a copy of the flags that a test may edit.
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { STRANGLER, withoutProductVariables } from '../kit/process.ts'
import { until } from '../kit/until.ts'
import { ROOT } from './markdown.ts'

export type DemoShop = {
  /** Holds `flags.json`. */
  readonly folder: string
  /** Runs a code block of a document in the folder; the block and its output have the addresses of the document. */
  readonly run: (script: string) => Promise<string>
  readonly flagReads: () => Promise<number>
  readonly stop: () => Promise<void>
}

export async function startDemoShop(): Promise<DemoShop> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-docs-'))
  await copyFile(join(ROOT, 'flags.json'), join(folder, 'flags.json'))
  const children: ChildProcess[] = []
  const start = async (args: string[], env: Record<string, string>, ports: readonly RegExp[]) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...withoutProductVariables(process.env), ...env },
    })
    children.push(child)
    const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
    const foundPorts = () => ports.map((port) => Number(port.exec(stdout() + stderr())?.[1] ?? 0))
    await until(() => child.exitCode !== null || !foundPorts().includes(0))
    if (foundPorts().includes(0)) throw new Error(stdout() + stderr())
    return foundPorts()
  }
  const upstream = async (file: string, name: string) => {
    const env = { PORT: '0', DATA_FILE: join(folder, `${name}.sqlite`) }
    const [port] = await start([join(ROOT, file)], env, [/listens on http:\/\/127\.0\.0\.1:(\d+)/])
    return port as number
  }
  const monolith = await upstream('legacy-monolith/server.ts', 'monolith')
  const catalog = await upstream('extracted-services/catalog/server.ts', 'catalog')
  const env = {
    MONOLITH_URL: `http://127.0.0.1:${monolith}`,
    CATALOG_URL: `http://127.0.0.1:${catalog}`,
    STRANGLER_CONFIG: join(ROOT, 'routes.config.ts'),
    STRANGLER_FLAGS: join(folder, 'flags.json'),
    STRANGLER_STATE_DIR: join(folder, 'state'),
  }
  const listening = (what: string) => new RegExp(`"what":"${what}",[^\\n]*"port":(\\d+)`)
  const [port, adminPort] = await start(
    [STRANGLER, 'serve', '--port=0', '--admin-port=0'],
    env,
    ['gateway', 'admin'].map(listening),
  )

  const addresses = [
    ['127.0.0.1:8080', port],
    ['127.0.0.1:8081', adminPort],
    ['127.0.0.1:3000', monolith],
    ['127.0.0.1:3001', catalog],
  ] as const
  return {
    folder,
    run: async (script) => {
      let ours = script.replaceAll('npx --no strangler', `"${process.execPath}" "${STRANGLER}"`)
      // Shorter than a minute, and quicker.
      const traffic = `"${process.execPath}" "${join(ROOT, 'scripts/demo-traffic.ts')}" --seconds 15 --rate 100`
      ours = ours.replaceAll('npm run demo:traffic', `${traffic} --url http://127.0.0.1:8080`)
      for (const [written, real] of addresses) ours = ours.replaceAll(written, `127.0.0.1:${real}`)
      const here = { ...env, STRANGLER_ADMIN_PORT: `${adminPort}` }
      let printed = await output('bash', ['-euo', 'pipefail', '-c', ours], folder, here)
      for (const [written, real] of addresses) printed = printed.replaceAll(`127.0.0.1:${real}`, written)
      return printed
    },
    flagReads: async () => {
      const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
      return Number(/^strangler_flag_reads_total (\d+)/m.exec(text)?.[1] ?? 0)
    },
    stop: async () => {
      const ended = children.map((child) => new Promise((resolve) => child.once('close', resolve)))
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(ended)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The standard output of a command. Throws an error with its output if it fails. */
export function output(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...withoutProductVariables(process.env), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(stdout())
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout()}${stderr()}`))
    })
  })
}

/** Collects a stream; the returned function gives the text so far. */
export function textOf(stream: Readable): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}
