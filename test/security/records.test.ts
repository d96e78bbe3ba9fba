// The records of requests: logs that an attacker cannot forge, that contain no secrets, and metrics that
// nobody can fill.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { flagFile } from '../kit/gateway.ts'
import { sharedByFile, whenOver } from '../kit/lifetime.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'
import { request } from './attack.ts'

const SECRET = `S3CR3T-${randomUUID()}`

/** The gateway as a process of its own, whose every output is kept. */
const process_ = sharedByFile(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-records-'))
  const origin = await startRawOrigin(
    `HTTP/1.1 200 OK\r\nSet-Cookie: session=${SECRET}\r\nX-Token: ${SECRET}\r\nContent-Length: ${SECRET.length}\r\n\r\n${SECRET}`,
  )
  const broken = await startRawOrigin(`HTTP/1.1 200 OK\r\nX: \x00${SECRET}\r\n\r\n`)
  const config = {
    legacy: { url: origin.url },
    services: { broken: { url: broken.url } },
    contexts: { broken: { owner: 'team', service: 'broken', flag: 'broken', routes: ['/broken'], fallback: false } },
    identity: { session: { cookie: 'sid' }, user: { header: 'x-account', trust: ['127.0.0.1/32'] } },
    trustedProxies: ['127.0.0.1/32'],
  }
  await writeFile(join(folder, 'routes.config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'flags.json'), flagFile({ broken: 100 }))
  const child: ChildProcess = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../../bin/strangler.js'),
      ...['serve', '--config', 'routes.config.json', '--port', '0', '--admin-port', '0', '--flags', 'flags.json'],
      ...['--state-dir', 'state', '--access-log', 'access.log', '--log-level', 'debug'],
    ],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, STRANGLER_METRICS_CACHE_MS: '0' } },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1')
    })
  }
  whenOver(async () => {
    child.kill('SIGKILL')
    await until(() => child.exitCode !== null || child.signalCode !== null)
    await rm(folder, { recursive: true, force: true })
  })
  const port = (what: string) => Number(new RegExp(`"what":"${what}"[^\\n]*"port":(\\d+)`).exec(output)?.[1])
  await until(() => child.exitCode !== null || (port('gateway') > 0 && port('admin') > 0), 20_000)
  expect(child.exitCode, output).toBeNull()
  return {
    port: port('gateway'),
    appLog: () => output,
    accessLog: () => readFile(join(folder, 'access.log'), 'latin1').catch(() => ''),
    metrics: async () => (await fetch(`http://127.0.0.1:${port('admin')}/metrics`)).text(),
  }
})

/** Resolves when the log has a line for a request that came after all others. */
async function settled(): Promise<string> {
  const marker = randomUUID()
  await exchange(process_().port, request(`GET /marker/${marker}`, ['Connection: close']))
  await until(async () => (await process_().accessLog()).includes(marker))
  return process_().accessLog()
}

/** Any byte that a terminal or a log reader may act upon, C1 controls in UTF-8 included; line ends are the log's own. */
function controlBytes(text: string): string[] {
  const matches: string[] = []
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isC1 = code === 0xc2 && text.charCodeAt(i + 1) >= 0x80 && text.charCodeAt(i + 1) <= 0x9f
    if ((code < 0x20 && code !== 0x0a) || code === 0x7f || isC1) matches.push(text.slice(Math.max(0, i - 30), i + 30))
  }
  return matches
}

// The attack: a forged log line, or an escape sequence for the reader's terminal.
describe('the logs', () => {
  it('contain only lines that parse, without control bytes', async () => {
    const nasty = [
      '\x9b31mred',
      '\xc2\x9b31m',
      '\xe2\x80\xa8forged',
      '\xe2\x80\xae',
      '"}\\n{"forged":1',
      '\\u001b[2J',
      '\x85',
      '\xff\xfe',
    ]
    const attacks = nasty.flatMap((text) => [
      request(`GET /${text}`),
      request(`GET /?q=${text}`),
      request('GET /', [`User-Agent: ${text}`]),
      request('GET /', [`X-Request-Id: ${text}`]),
      request('GET /', [`X-Forwarded-For: ${text}`]),
      request('GET /', [`X-Account: ${text}`]),
      request('GET /', [`Cookie: sid=${text}`]),
      request('GET /', [`traceparent: ${text}`]),
      request('GET /', [`Via: ${text}`]),
      request('GET /', [`Expect: ${text}`]),
      `GET / HTTP/1.1\r\nHost: ${text}\r\n\r\n`,
      `${text} / HTTP/1.1\r\nHost: a\r\n\r\n`,
      request('POST /', [`Transfer-Encoding: ${text}`]),
      request('OPTIONS /', [`Max-Forwards: ${text}`]),
    ])
    attacks.push(
      request('GET /%0d%0a{"forged":1}'),
      request('GET /%1b[2J'),
      request('GET /a\x1b[2J'),
      request('GET /', ['User-Agent: a\x1b[2J']),
      request('GET /', ['User-Agent: a\rforged']),
      request('GET /?a=%0d%0aforged'),
      request('GET /broken'),
    )
    for (const bytes of attacks) await exchange(process_().port, bytes)
    const log = await settled()
    const lines = log.split('\n').slice(0, -1)
    expect(lines.length).toBeGreaterThanOrEqual(attacks.length)
    for (const line of lines) {
      const parsed = JSON.parse(Buffer.from(line, 'latin1').toString('utf8')) as Record<string, unknown>
      expect(parsed).not.toHaveProperty('forged')
      expect(parsed).toHaveProperty('status')
    }
    expect(controlBytes(log)).toEqual([])
    expect(controlBytes(process_().appLog())).toEqual([])
    for (const line of process_().appLog().split('\n').slice(0, -1))
      JSON.parse(Buffer.from(line, 'latin1').toString('utf8'))
  })
})

describe('the secrets in headers, cookies, queries and bodies', () => {
  it('are in no log and no metric', async () => {
    const { port } = process_()
    const attacks = [
      request('GET /', [
        `Authorization: Bearer ${SECRET}`,
        `Cookie: sid=${SECRET}; a=${SECRET}`,
        `X-Api-Key: ${SECRET}`,
      ]),
      request('GET /', [`Proxy-Authorization: Basic ${SECRET}`, `X-Account: ${SECRET}`, `X-Csrf-Token: ${SECRET}`]),
      request('GET /', [
        `Cookie: strangler_id=${SECRET}`,
        `Referer: http://a/?token=${SECRET}`,
        `X-User-Id: ${SECRET}`,
      ]),
      ...['token', 'code', 'sig', 'q', 'to%6ben', 'X-Amz-Signature', 'a[b]', ''].map((name) =>
        request(`GET /x?page=2&${name}=${SECRET}&z=1`),
      ),
      request(`GET /x?${SECRET}`),
      request('POST /login', [`Content-Length: ${SECRET.length}`], SECRET),
      request(
        'POST /login',
        ['Transfer-Encoding: chunked'],
        `${SECRET.length.toString(16)}\r\n${SECRET}\r\n0\r\nX-T: ${SECRET}\r\n\r\n`,
      ),
      request(`GET /broken?token=${SECRET}`, [`Authorization: Bearer ${SECRET}`, `Cookie: sid=${SECRET}`]),
      // Refused ones are logged too.
      request(`GET /a%00?token=${SECRET}`, [`Authorization: ${SECRET}`]),
      request(`GET /a%2fb?access_token=${SECRET}`),
      request('GET /', [`Host: ${SECRET}`]),
      request('GET /', [`Expect: ${SECRET}`]),
      request('GET /', [`Transfer-Encoding: ${SECRET}`]),
      request('GET /', [`Content-Length: ${SECRET}`]),
      request('OPTIONS /', [`Max-Forwards: ${SECRET}`]),
      request('GET /', [`Cookie: ${SECRET}\x00`]),
      request('POST /', ['Transfer-Encoding: chunked'], `zz${SECRET}\r\n`),
    ]
    for (const bytes of attacks) {
      const client = await connectRaw(port)
      client.send(bytes)
      await client.receives(/^HTTP\/1\.1 \d+/)
      client.destroy()
    }
    const log = await settled()
    expect(log.split('\n').length).toBeGreaterThan(attacks.length)
    expect(log).not.toContain(SECRET)
    expect(process_().appLog()).not.toContain(SECRET)
    expect(await process_().metrics()).not.toContain(SECRET)
    expect(log).toContain('page=2')
  })
})

describe('the metrics', () => {
  it('get no new series from thousands of paths, methods and hosts of a scanner', async () => {
    const { port, metrics } = process_()
    const series = async () =>
      new Set(
        (await metrics())
          .split('\n')
          // The collector's kinds are a closed list too, of which each joins when it first runs.
          .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('nodejs_gc_'))
          .map((line) => line.replace(/ [^ ]+$/, '')),
      )
    const scan = async (from: number, count: number) => {
      const client = await connectRaw(port)
      for (let i = from; i < from + count; i += 50) {
        const answers = (client.received().match(/HTTP\/1\.1 \d+/g) ?? []).length
        let batch = ''
        for (let n = i; n < i + 50; n++) {
          const method = ['GET', 'HEAD', 'PROPFIND', 'M-SEARCH'][n % 2 === 0 ? 0 : n % 4]
          batch += `${method} /scan/${n}/.env?x=${n} HTTP/1.1\r\nHost: h${n}\r\nUser-Agent: s${n}\r\n\r\n`
        }
        client.send(batch)
        await until(() => (client.received().match(/HTTP\/1\.1 \d+/g) ?? []).length === answers + 50)
      }
      client.destroy()
    }
    await scan(0, 200)
    for (const path of ['/%00', '/a%2fb', '/x#']) await exchange(port, request(`GET ${path}`))
    const seriesBefore = await series()
    await Promise.all([0, 1, 2, 3].map((lane) => scan(1000 + lane * 1250, 1250)))
    for (const path of ['/%01', '/b%2fb', '/y#']) await exchange(port, request(`GET ${path}`))
    const seriesAfter = await series()
    expect([...seriesAfter].filter((name) => !seriesBefore.has(name))).toEqual([])
    expect(seriesAfter.size).toBeLessThan(2000)
    expect(await metrics()).not.toMatch(/\.env|scan|h1\d\d\d/)
  })
})
