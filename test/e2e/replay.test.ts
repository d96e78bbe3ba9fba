// Offline comparison as an operator runs it: `strangler replay` in a process of its own, between two real origins.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ReplayReport } from '../../src/entry/replay.ts'
import { sendRequest } from '../kit/load.ts'
import { freePort, startHttpOrigin } from '../kit/origin.ts'
import { runStrangler, STRANGLER, startGatewayProcess, withoutProductVariables } from '../kit/process.ts'
import { until } from '../kit/until.ts'

type Seen = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Milliseconds of the origin's clock. */
  readonly at: number
}

type Side = { readonly url: string; readonly seen: Seen[]; answer: (path: string) => object | undefined }

/** An origin that answers with JSON or closes the connection, and records its requests. */
async function startSide(answer: Side['answer'] = (path) => ({ path, price: 7 })): Promise<Side> {
  const side: Side = { url: '', seen: [], answer }
  const { url } = await startHttpOrigin((request, response) => {
    const { method = '', url: path = '', headers } = request
    side.seen.push({ method, path, headers, at: performance.now() })
    const body = side.answer(path)
    if (body === undefined) return void request.socket.destroy()
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(body))
  })
  return Object.assign(side, { url })
}

async function startShop(files: Readonly<Record<string, string>>, answer?: Side['answer']) {
  const [legacy, service] = [await startSide(), await startSide(answer)]
  const folder = await mkdtemp(join(tmpdir(), 'strangler-replay-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'map.json'), JSON.stringify(mapOf(legacy.url, service.url)))
  const replay = (...args: string[]) => runStrangler(['replay', ...args, '--config', 'map.json'], { cwd: folder })
  return { legacy, service, folder, replay }
}

function mapOf(legacy: string, service: string) {
  const context = (name: string, routes: unknown[]) => ({ owner: `team-${name}`, service: 'new', flag: name, routes })
  return {
    legacy: { url: legacy },
    services: { new: { url: service } },
    contexts: {
      catalog: context('catalog', ['/products', '/products/:id', { path: '/search', rewrite: '/v2/search' }]),
      orders: context('orders', ['/orders/*']),
    },
  }
}

function reportIn(stdout: string): ReplayReport {
  return JSON.parse(stdout) as ReplayReport
}

function har(...requests: { method?: string; path: string; headers?: object[]; host?: string }[]): string {
  const entries = requests.map(({ method = 'GET', path, headers = [], host = 'shop.example' }) => ({
    request: { method, url: `https://${host}${path}`, httpVersion: 'h2', headers, queryString: [], bodySize: 0 },
    response: { status: 200 },
  }))
  return JSON.stringify({ log: { version: '1.2', creator: { name: 'test' }, entries } })
}

function nginx(...requests: string[]): string {
  const line = (request: string) =>
    `203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] "${request} HTTP/1.1" 200 12 "-" "Mozilla/5.0 (X11)"\n`
  return requests.map(line).join('')
}

function manyLines(count: number): string {
  return nginx(...Array.from({ length: count }, (_, i) => `GET /products/${i + 1}`))
}

const MIXED = [
  'GET /products/1',
  'POST /products',
  'GET /orders/3',
  'DELETE /products/1',
  'HEAD /products',
  'GET /about',
]

describe('a replay sends', () => {
  it('a HAR to both sides by the routing of the gateway, with credentials only on request', async () => {
    const headers = [
      ...[':authority', 'shop.example', 'Cookie', 'sid=c00kie', 'Authorization', 'Bearer b3arer', 'X-Api-Key', 'k3y'],
      ...['Accept-Language', 'de', 'Connection', 'X-Hop', 'X-Hop', 'no', 'X-Shadow', '7', 'Host', 'shop.example'],
    ].flatMap((name, i, names) => (i % 2 === 0 ? [{ name, value: names[i + 1] }] : []))
    const file = har(
      { path: '/search?q=a%20b&q=c', headers },
      { path: '/products', method: 'POST', headers },
      { path: '/products', host: 'tracker.example' },
    )
    const { legacy, service, replay } = await startShop({ 'shop.har': file })
    const { code, stdout, stderr } = await replay('shop.har', '--json')
    expect(stderr).toContain('shop.har is a HAR, of shop.example\n')
    expect(stderr).toContain(`sends to legacy at ${legacy.url}, `)
    expect(stderr).toContain(` at ${service.url}`)
    expect(code).toBe(0)
    const { requests, accounting, recording } = reportIn(stdout)
    expect(recording.format).toBe('har')
    expect(requests).toMatchObject({ replayed: 1, skipped: { 'unsafe-method': 1, 'other-host': 1 } })
    // The service returns its own path, which is a difference.
    expect(accounting.eligible).toBe(1)
    expect(legacy.seen[0]).toMatchObject({ method: 'GET', path: '/search?q=a%20b&q=c' })
    expect(service.seen[0]).toMatchObject({ method: 'GET', path: '/v2/search?q=a%20b&q=c' })
    for (const { headers } of [...legacy.seen, ...service.seen]) {
      expect(headers).toMatchObject({ host: 'shop.example', 'x-shadow': '1', 'accept-language': 'de' })
      expect(headers['x-forwarded-proto']).toBe('https')
      expect(headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      for (const name of ['cookie', 'authorization', 'x-api-key', 'x-hop']) expect(headers[name], name).toBeUndefined()
    }
    expect((await replay('shop.har', '--keep-credentials', '--json')).code).toBe(0)
    for (const { headers } of [legacy.seen.at(-1), service.seen.at(-1)] as Seen[]) {
      expect(headers).toMatchObject({ cookie: 'sid=c00kie', authorization: 'Bearer b3arer', 'x-api-key': 'k3y' })
    }
  })

  it('only safe methods of the named context of an nginx log', async () => {
    const { legacy, service, replay } = await startShop({ 'a.log': `${nginx(...MIXED)}garbage\n` })
    const { code, stdout } = await replay('a.log', '--context', 'catalog', '--host', 'Shop.example', '--json')
    expect(code).toBe(0)
    const { requests, contexts } = reportIn(stdout)
    expect(requests).toEqual({
      replayed: 2,
      skipped: { 'unsafe-method': 2, 'other-context': 1, unowned: 1 },
      unreadable: { count: 1, first: [{ at: 7, why: 'is not in the format "combined"' }] },
      interrupted: 0,
    })
    expect(contexts.map(({ context, routes }) => [context, routes.map(({ route }) => route)])).toEqual([
      ['catalog', ['GET /products/:id', 'HEAD /products']],
    ])
    for (const side of [legacy, service]) {
      expect(side.seen.every(({ method }) => method === 'GET' || method === 'HEAD')).toBe(true)
      expect(new Set(side.seen.map(({ path }) => path))).toEqual(new Set(['/products/1', '/products']))
      const { headers } = side.seen[0]!
      expect(headers).toMatchObject({ host: 'shop.example', 'user-agent': 'Mozilla/5.0 (X11)' })
      expect(headers['x-forwarded-for']).toBe('203.0.113.9')
    }
  })

  it('the access log of a gateway, without masked requests', async () => {
    const { legacy, service, folder, replay } = await startShop({})
    const gateway = await startGatewayProcess(mapOf(legacy.url, service.url))
    const cases: [string, string][] = [
      ['GET', '/products/1?sort=price'],
      ['GET', '/products/2?reset_token=s3cr3t'],
      ['POST', '/products'],
      ['GET', '/about'],
    ]
    for (const [method, path] of cases) await sendRequest({ port: gateway.port, path, method })
    await until(async () => (await gateway.accessLog()).length === cases.length)
    await writeFile(join(folder, 'access.log'), await readFile(join(gateway.folder, 'access.log')))
    legacy.seen.length = 0
    service.seen.length = 0
    const { code, stdout } = await replay('access.log', '--json')
    expect(code).toBe(0)
    expect(reportIn(stdout)).toMatchObject({
      recording: { format: 'access-log' },
      requests: { replayed: 1, skipped: { masked: 1, 'unsafe-method': 1, unowned: 1 } },
      accounting: { matched: 1 },
    })
    expect(service.seen.map(({ path }) => path)).toEqual(['/products/1?sort=price'])
    expect(new Set(legacy.seen.map(({ path }) => path))).toEqual(new Set(['/products/1?sort=price']))
  })

  it('at most the configured rate to each side', async () => {
    // The sides differ, so legacy is asked twice for nearly each request; the rate applies to the second requests too.
    const { legacy, service, replay } = await startShop({ 'a.log': manyLines(60) }, () => ({ price: 8 }))
    expect((await replay('a.log', '--rate', '50', '--report', 'r.md')).code).toBe(0)
    expect(service.seen.length).toBe(60)
    expect(legacy.seen.length).toBeGreaterThan(90)
    for (const { seen } of [legacy, service]) {
      const tookMs = seen.at(-1)!.at - seen[0]!.at
      // A late turn can be followed by one on time: that shortens one gap of 20 ms.
      expect(tookMs).toBeGreaterThan((seen.length - 1) * 20 - 100)
      for (const [i, { at: time }] of seen.entries()) {
        const inOneSecond = seen.slice(i).filter((other) => other.at < time + 1000).length
        expect(inOneSecond).toBeLessThan(50 * 1.3)
      }
    }
  })
})

describe('the report of a replay', () => {
  it('shows in Markdown and JSON that the sides differ, where, and how often', async () => {
    const { replay, folder } = await startShop({ 'a.log': manyLines(80) }, (path) => ({
      path,
      price: path.endsWith('0') ? 8 : 7,
    }))
    const { code, stdout } = await replay('a.log', '--rate', '1000', '--report', 'r.md', '--json-report', 'r.json')
    expect(code).toBe(0)
    expect(stdout).toBe('')
    const { accounting, contexts, parity } = reportIn(await readFile(join(folder, 'r.json'), 'utf8'))
    expect(accounting).toMatchObject({ eligible: 80, matched: 72 })
    expect(accounting.mismatched + accounting.inconclusive).toBe(8)
    const [price] = contexts[0]!.routes[0]!.differences
    expect(price).toMatchObject({ kind: 'value', path: '$.price', sides: 8, self: 0 })
    expect(price!.examples[0]).toMatchObject({ method: 'GET', legacy: '7', service: '8' })
    expect(parity.untilTarget).toBeGreaterThan(0)
    const markdown = await readFile(join(folder, 'r.md'), 'utf8')
    expect(markdown).toMatch(/^# Replay of `a\.log`$/m)
    expect(markdown).toContain('There were not enough comparisons to say that at least 99.9 % match')
    expect(markdown).toMatch(/\| `\$\.price` \| the value differs \| 8 \| 0 \| `7` \| `8` \| `GET \/products\/\d+` \|/)
    // A finished run removes its state file.
    expect((await readdir(folder)).sort()).toEqual(['a.log', 'map.json', 'r.json', 'r.md'])
  })

  it.each([
    ['90', 0, /passed/i],
    ['97.5', 0, /not enough comparisons to be sure/],
    ['99', 1, /\*\*Failed:\*\* 97\.5 % match, .*99 % is asked for/],
  ])('fits the exit code: --fail-under %s with 39 of 40 matches exits %i', async (target, exit, sentence) => {
    const { replay } = await startShop({ 'a.log': manyLines(40) }, (path) => ({
      path,
      price: path.endsWith('/7') ? 8 : 7,
    }))
    const { code, stdout } = await replay('a.log', '--rate', '1000', '--fail-under', target)
    expect(stdout).toMatch(sentence)
    expect(code).toBe(exit)
  })

  it('contains no secret of the recording, of responses or of queries', async () => {
    const secret = 'pl4ntedS3cretV4lue9x7q'
    const request = `/products/1?token=${secret}&next=${encodeURIComponent(`ada@${secret}.example`)}`
    const headers = ['Cookie', 'Authorization'].map((name) => ({ name, value: `Bearer ${secret}` }))
    const [entry] = (JSON.parse(har({ path: request, headers })) as { log: { entries: object[] } }).log.entries
    const broken = { request: { method: 'GET', url: 'https://shop.example/', headers: [{ name: secret, value: 1 }] } }
    const { legacy, replay, folder } = await startShop(
      { 'shop.har': JSON.stringify({ log: { entries: [entry, broken] } }) },
      () => ({ password: `service-${secret}`, mail: 'ada@b.example', note: `Bearer ${secret}`, [`key-${secret}`]: 1 }),
    )
    legacy.answer = () => ({ password: 'legacy', mail: `grace@${secret}.example`, note: 'none' })
    const args = ['shop.har', '--keep-credentials', '--report', 'r.md', '--json-report', 'r.json', '--json']
    const { code, stdout, stderr } = await replay(...args)
    expect(code).toBe(0)
    const { contexts, requests } = reportIn(stdout)
    expect(requests.unreadable.count).toBe(1)
    expect(contexts[0]!.routes[0]!.differences.length).toBeGreaterThanOrEqual(4)
    const texts = [stdout, stderr, ...(await Promise.all(['r.md', 'r.json'].map((name) => read(folder, name))))]
    for (const text of texts) expect(text).not.toContain(secret)
    expect(texts[2]).toContain('<secret>')

    // The state file while the run is under way.
    legacy.answer = (path) => (path.includes('token') ? { password: 'legacy', note: 'none' } : undefined)
    await writeFile(join(folder, 'more.har'), har({ path: request }, ...Array(30).fill({ path: '/products/2' })))
    expect((await replay('more.har', '--rate', '1000')).code).toBe(5)
    expect(await read(folder, 'more.har.state')).toContain('value $.password')
    expect(await read(folder, 'more.har.state')).not.toContain(secret)
  })
})

describe('an interrupted replay', () => {
  it('continues after kill -9 and sends nothing twice', async () => {
    const total = 150
    const { legacy, service, folder } = await startShop({ 'a.log': manyLines(total) })
    for (const atLeast of [20, 60, 100]) {
      const killed = start(folder, 'a.log', '--rate', '200', '--json')
      await until(() => service.seen.length >= atLeast)
      killed.child.kill('SIGKILL')
      expect(await killed.exit).toMatchObject({ signal: 'SIGKILL' })
    }
    const { code, stdout, stderr } = await runStrangler(
      ['replay', 'a.log', '--rate', '200', '--json', '--config', 'map.json'],
      { cwd: folder },
    )
    expect(stderr).toMatch(/continues after \d+ requests \(from a\.log\.state\)/)
    expect(code).toBe(0)
    const { requests, contexts, notes } = reportIn(stdout)
    expect(requests.replayed + requests.interrupted).toBe(total)
    expect(requests.replayed).toBeGreaterThan(100)
    // At most the requests that were under way at each of three kills.
    expect(requests.interrupted).toBeLessThanOrEqual(3 * 8)
    expect(notes.join()).toContain('when a run was killed')
    expect(Math.max(...timesOf(service))).toBe(1)
    const pairs = contexts.reduce((sum, { routes }) => sum + routes.reduce((more, route) => more + route.pairs, 0), 0)
    const again = timesOf(legacy).filter((times) => times > 1).length
    expect(Math.max(...timesOf(legacy))).toBeLessThanOrEqual(2)
    // A pair whose second response came after the kill is not counted.
    expect(again).toBeLessThanOrEqual(pairs + requests.interrupted)
    expect(existsSync(join(folder, 'a.log.state'))).toBe(false)
  }, 60_000)

  it('finishes requests that are under way on Ctrl-C, and continues without loss', async () => {
    const { service, folder, replay } = await startShop({ 'a.log': manyLines(60) })
    const stopped = start(folder, 'a.log', '--rate', '100')
    await until(() => service.seen.length >= 10)
    stopped.child.kill('SIGINT')
    expect(await stopped.exit).toEqual({ code: 130, signal: null })
    expect(stopped.stderr()).toContain('stopped; repeat the command to continue (from a.log.state)')
    expect(service.seen.length).toBeLessThan(60)
    // The log has grown; the run continues with its original part.
    await writeFile(join(folder, 'a.log'), `${manyLines(60)}${nginx('GET /products/999')}`)
    const { code, stdout } = await replay('a.log', '--rate', '500', '--json')
    expect(code).toBe(0)
    expect(reportIn(stdout).requests).toMatchObject({ replayed: 60, interrupted: 0 })
    expect(timesOf(service)).toEqual(Array(60).fill(1))
  })

  it('is rejected for another recording, config or selection; --fresh starts again', async () => {
    const { service, folder, replay } = await startShop({ 'a.log': manyLines(30) }, () => undefined)
    expect((await replay('a.log', '--rate', '1000', '--state', 's')).code).toBe(5)
    const cases = service.seen.length
    const map = await read(folder, 'map.json')
    const refused = async (sentence: RegExp, ...args: string[]) => {
      const { code, stderr, stdout } = await replay('a.log', '--state', 's', ...args)
      expect({ code, stdout, lines: stderr.trim().split('\n').length }).toEqual({ code: 1, stdout: '', lines: 1 })
      expect(stderr).toMatch(sentence)
    }
    await writeFile(join(folder, 'map.json'), map.replace('"/products/:id"', '"/products/:key"'))
    await refused(/s belongs to a run with another config, .*--fresh starts again/)
    await writeFile(join(folder, 'map.json'), map)
    await refused(/other contexts, hosts or credentials/, '--context', 'orders')
    await writeFile(join(folder, 'a.log'), manyLines(31).replace('/products/3 ', '/products/4 '))
    await refused(/belongs to a run with another recording/)
    await writeFile(join(folder, 'a.log'), manyLines(30))
    expect(service.seen.length).toBe(cases)
    service.answer = (path) => ({ path, price: 7 })
    const { code, stdout } = await replay('a.log', '--rate', '1000', '--state', 's', '--fresh', '--json')
    expect(code).toBe(0)
    expect(reportIn(stdout).accounting).toMatchObject({ eligible: 30, matched: 30 })
  }, 60_000)

  it('ends early if a side is down, and continues when it is back', async () => {
    const { legacy, service, folder, replay } = await startShop({ 'a.log': manyLines(200) })
    const port = await freePort()
    await writeFile(join(folder, 'map.json'), JSON.stringify(mapOf(legacy.url, `http://127.0.0.1:${port}`)))
    const { code, stderr, stdout } = await replay('a.log', '--rate', '1000', '--fail-under', '99')
    expect(stderr).toMatch(
      /service at http:\/\/127\.0\.0\.1:\d+ failed 20 times in a row, the last time with connect-refused; repeat the command/,
    )
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(legacy.seen.length).toBeLessThan(40)
    const back = await startHttpOrigin(
      (request, response) => {
        service.seen.push({ method: 'GET', path: request.url ?? '', headers: request.headers, at: 0 })
        response.setHeader('Content-Type', 'application/json')
        response.end(JSON.stringify({ path: request.url, price: 7 }))
      },
      { port },
    )
    expect(back.port).toBe(port)
    const end = await replay('a.log', '--rate', '1000', '--json', '--fail-under', '99')
    const { accounting, gate, contexts } = reportIn(end.stdout)
    const failed = 200 - service.seen.length
    expect(accounting).toMatchObject({ eligible: 200, matched: service.seen.length, failed })
    expect(contexts[0]!.routes[0]!.failed).toEqual({ 'connect-refused': failed })
    // CI must not pass a service that does not answer.
    expect(gate).toMatchObject({ isPassed: false, unanswered: failed })
    expect(end.code).toBe(1)
  }, 60_000)
})

describe('an unusable recording', () => {
  it.each([
    ['a text', 'hello\nworld\n', 1, /a\.log cannot be replayed: its beginning is neither a HAR/],
    ['nothing', '', 1, /a\.log cannot be replayed: it is empty/],
    ['half a HAR', '{"log": {"entries": [{"secret', 1, /it is not a JSON document/],
    [
      'writes alone',
      nginx('POST /products', 'PUT /products/1', 'GET /about'),
      1,
      /no request that can be replayed: 2 unsafe-method, 1 unowned/,
    ],
  ])('is reported in one sentence: %s', async (_, text, exit, sentence) => {
    const { replay, folder } = await startShop({ 'a.log': text })
    const { code, stdout, stderr } = await replay('a.log')
    expect({ code, stdout }).toEqual({ code: exit, stdout: '' })
    expect(stderr).toMatch(sentence)
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+|Error:|"secret/)
    expect((await readdir(folder)).filter((name) => name !== 'a.log.state').sort()).toEqual(['a.log', 'map.json'])
  })

  it('and an unknown context are reported', async () => {
    const { replay } = await startShop({ 'a.log': manyLines(1) })
    const { code, stderr } = await replay('a.log', '--context', 'cart')
    expect(stderr).toBe('strangler replay: there is no context "cart"; the config has catalog, orders\n')
    expect(code).toBe(2)
  })
})

function start(folder: string, ...args: string[]) {
  const child = spawn(process.execPath, [STRANGLER, 'replay', ...args, '--config', 'map.json'], {
    cwd: folder,
    env: withoutProductVariables(process.env),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const exit = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  return { child, exit, stderr: () => stderr }
}

/** The number of requests per path. */
function timesOf({ seen }: Side): number[] {
  return [...Map.groupBy(seen, ({ path }) => path).values()].map((requests) => requests.length)
}

function read(folder: string, name: string): Promise<string> {
  return readFile(join(folder, name), 'utf8')
}
