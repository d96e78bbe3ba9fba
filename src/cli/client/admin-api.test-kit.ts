// A server with scripted responses of the admin API, and helpers that run the command line against it.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { API } from '../../admin/contract/api-paths.ts'
import type { ChangeResponse } from '../../admin/contract/change-requests.ts'
import { PROBLEMS, type ProblemCode } from '../../admin/contract/problems.ts'
import type { StatusResponse } from '../../admin/contract/status.ts'

const STRANGLER = fileURLToPath(new URL('../../../bin/strangler.js', import.meta.url))

type ReceivedRequest = {
  readonly method: string
  /** Relative to the path of the API, with its query. */
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

export type TestReply =
  | { readonly status?: number; readonly json: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: number; readonly html: string }
  /** The request is read, and then the connection breaks. */
  | 'lost'
  /** A stream that the test writes to. */
  | ((stream: http.ServerResponse) => void)

export type TestApi = {
  readonly url: string
  readonly requests: readonly ReceivedRequest[]
  readonly close: () => Promise<void>
}

/** Answers each request in turn with the next reply, and with the last one from then on. */
export async function startApi(...replies: readonly TestReply[]): Promise<TestApi> {
  const requests: ReceivedRequest[] = []
  const sockets = new Set<Socket>()
  const server = http.createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const reply = replies[Math.min(requests.length, replies.length - 1)] ?? { json: null }
    const { method = '', url = '', headers } = request
    requests.push({ method, path: url.replace(API, ''), headers, body: text === '' ? undefined : JSON.parse(text) })
    send(reply, response)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  onTestFinished(close)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: requests, close }
}

function send(reply: TestReply, response: http.ServerResponse): void {
  if (reply === 'lost') {
    response.destroy()
  } else if (typeof reply === 'function') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    reply(response)
  } else if ('html' in reply) {
    response.writeHead(reply.status, { 'content-type': 'text/html' }).end(reply.html)
  } else {
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
    response.end(JSON.stringify(reply.json))
  }
}

/** An answer of `application/problem+json`. */
export function problem(code: ProblemCode, more: Readonly<Record<string, unknown>> = {}): TestReply {
  return { status: PROBLEMS[code].status, json: { type: 'about:blank', code, ...PROBLEMS[code], ...more } }
}

/** The response to a change that every gateway has applied, with the members that the test overrides. */
export function changeReply(more: Partial<ChangeResponse>): { json: ChangeResponse } {
  const convergence = { applied: 6, of: 6, ms: 84, laggards: [], inFlight: 0 }
  const base = { context: 'catalog', before: 10, after: 25, generation: 8, until: null, note: null, converged: true }
  return { json: { verb: 'flip', ...base, convergence, ...more } }
}

export const EMPTY_STATUS: StatusResponse = {
  generation: 7,
  kill: null,
  localKill: [],
  store: { kind: 'file', location: '/srv/.strangler', isConnected: true, cutOffMs: 0, trouble: null },
  flags: {
    source: 'file',
    location: 'flags.json',
    flags: 2,
    ageMs: 300,
    stale: false,
    trouble: null,
    isRefused: false,
  },
  contexts: [],
  fleet: { generation: 7, members: [] },
}

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string }

type RunOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The server of the test; undefined if the command must find the gateway itself. */
  readonly api?: Pick<TestApi, 'url'>
}

/** Runs the command in an empty folder, without the environment of the tests. */
export async function strangler(args: readonly string[], { env = {}, cwd, api }: RunOptions = {}): Promise<RunResult> {
  const home = await emptyFolder()
  const where: Record<string, string> =
    api === undefined ? {} : { STRANGLER_URL: api.url, STRANGLER_TOKEN: 'secret-token' }
  const options = { cwd: cwd ?? home, env: { PATH: process.env.PATH, HOME: home, TZ: 'UTC', ...where, ...env } }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [STRANGLER, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code
      if (typeof code === 'number') resolve({ code, stdout, stderr })
      else reject(error)
    })
  })
}

export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Starts a command that runs until it is interrupted; `lines` returns the lines of standard output so far. */
export async function startCommand(args: readonly string[], api: Pick<TestApi, 'url'>) {
  const home = await emptyFolder()
  const env = { PATH: process.env.PATH, HOME: home, TZ: 'UTC', STRANGLER_URL: api.url, STRANGLER_TOKEN: 'secret-token' }
  const child = spawn(process.execPath, [STRANGLER, ...args], { cwd: home, env })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return {
    lines: () => stdout.split('\n').slice(0, -1),
    stderr: () => stderr,
    interrupt: () => void child.kill('SIGINT'),
    exited,
  }
}
