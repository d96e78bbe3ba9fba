// Attacks on the admin port of a gateway under load. Each must leave the gateway unharmed: no proxied request fails, no bug is
// reported, nothing is changed, and a caller with the token gets access.
import { readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Load, sendRequest, startLoad } from '../../test/kit/load.ts'
import { startNamedOrigin } from '../../test/kit/origin.ts'
import { type GatewayProcess, startGatewayProcess } from '../../test/kit/process.ts'
import { connectRaw, exchange } from '../../test/kit/raw.ts'
import { shop } from '../../test/kit/shop.ts'
import { until } from '../../test/kit/until.ts'
import type { AuditPage } from './contract/audit.ts'
import type { ChangeResponse } from './contract/change-requests.ts'
import type { Problem } from './contract/problems.ts'

type Target = {
  readonly gateway: GatewayProcess
  readonly token: string
  readonly load: Load
  readonly call: <Body>(method: string, path: string, body?: object, headers?: object) => Promise<ApiAnswer<Body>>
  readonly sendHead: (head: string, token?: string) => Promise<string>
  readonly expectUnharmed: () => Promise<void>
}
type ApiAnswer<Body> = { readonly status: number; readonly body: Body; readonly headers: object }

async function startTarget(): Promise<Target> {
  const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
  const config = shop({ legacy: legacy.url, service: service.url })
  const gateway = await startGatewayProcess(config, { percentages: { 'migrate-catalog': 50 } })
  const { port, adminPort, folder } = gateway
  const token = (await readFile(join(folder, 'state', 'admin-token'), 'utf8')).trim()
  const load = startLoad(4, (i) => ({ port, path: `/products/${i}`, headers: { cookie: `sid=${i}` } }))
  const call: Target['call'] = async (method, path, body, headers) => {
    const answer = await sendRequest({
      port: adminPort,
      agent: noKeepAlive,
      method,
      path: `/api/v1${path}`,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    expect(answer.error).toBeUndefined()
    return { status: answer.status, body: JSON.parse(answer.body), headers: answer.headers }
  }
  const changes = async () => {
    const { body } = await call<AuditPage>('GET', '/audit?limit=200')
    return body.records.filter(({ result, verb }) => result === 'done' && verb !== 'outside')
  }
  return {
    gateway,
    token,
    load,
    call,
    sendHead: async (head, by = token) => {
      const text = head.replace('\r\n', `\r\nHost: localhost\r\nAuthorization: Bearer ${by}\r\n`)
      return statusLine((await exchange(adminPort, `${text}Connection: close\r\n\r\n`)).head)
    },
    expectUnharmed: async () => {
      const answered = load.answers.length
      await until(() => load.answers.length > answered + 20)
      const { failed } = await load.stop()
      expect(failed).toEqual([])
      expect(await changes()).toEqual([])
      expect(await gateway.metric('strangler_bugs_total')).toBe(0)
      expect(gateway.log()).not.toContain(token)
    },
  }
}

/** One connection for each request, because the server may evict an idle connection at any time. */
const noKeepAlive = new Agent({ keepAlive: false })

const statusLine = (head: string) => /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 'nothing'

test('a gateway is unharmed by 400 silent or slow connections and 1,000 invalid tokens at once', async () => {
  const { gateway, load, call, expectUnharmed } = await startTarget()
  const slow = await Promise.all(Array.from({ length: 400 }, () => connectRaw(gateway.adminPort)))
  for (const [i, client] of slow.entries()) if (i % 2 === 0) client.send('GET /api/v1/status HTTP/1.1\r\nHost: lo')
  expect((await call('GET', '/status')).status).toBe(200)
  expect(await gateway.readyz()).toBe(200)
  expect(slow.filter((client) => !client.isClosed()).length).toBeLessThanOrEqual(256)
  for (const client of slow) client.destroy()

  await until(() => load.answers.length > 100)
  const tries = Array.from({ length: 1_000 }, (_, i) => {
    const headers = { Authorization: `Bearer wrong-token-number-${i}` }
    return sendRequest({ port: gateway.adminPort, path: '/api/v1/status', headers })
  })
  const statuses = (await Promise.all(tries)).map(({ status }) => status)
  // 0 is a connection that was evicted for another.
  expect(new Set(statuses).difference(new Set([0, 401, 429]))).toEqual(new Set())
  expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(11)
  expect((await call('GET', '/status')).status).toBe(200)
  expect(await gateway.readyz()).toBe(200)
  const { body } = await call<AuditPage>('GET', '/audit?limit=200')
  const turnedAway = body.records.filter(({ verb }) => verb === 'sign-in')
  expect(turnedAway.length).toBeGreaterThan(0)
  expect(turnedAway.length).toBeLessThan(10)
  expect(JSON.stringify(body) + gateway.log()).not.toContain('wrong-token-number')
  await expectUnharmed()
})

const LINES: readonly [string, string][] = [
  ['GET /api/v1//status', '404'],
  ['GET //api/v1/status', '404'],
  ['GET /api/v1/./status', '404'],
  ['GET /api/v1/../v1/status', '404'],
  ['GET /livez/../api/v1/status', '404'],
  ['GET /api/v1/%2e%2e/v1/status', '404'],
  ['GET /api/v1/%73tatus', '404'],
  ['GET /api%2fv1%2fstatus', '404'],
  ['GET /api\\v1\\status', '404'],
  ['GET /API/v1/status', '404'],
  ['GET /api/v1/STATUS', '404'],
  ['GET /api/v1/status/', '404'],
  ['GET /api/v1/status;x=1', '404'],
  ['GET /api/v1/status%00', '404'],
  ['GET /api/v1/contexts/%2e%2e', '404'],
  ['GET /api/v1/contexts/..%2fkill-switch', '404'],
  ['GET /api/v1/contexts/__proto__', '404'],
  ['GET /api/v1/contexts/%1b%5b2J', '404'],
  ['GET /api/v1/contexts/%ff', '400'],
  ['GET /api/v1/contexts/%', '400'],
  ['GET http://evil.example/api/v1/status', '421'],
  ['GET http://localhost/api/v1/status', '200'],
  ['GET *', '404'],
  ['OPTIONS *', '404'],
  ['OPTIONS /api/v1/status', '405'],
  ['TRACE /api/v1/status', '405'],
  ['PURGE /api/v1/kill-switch', '405'],
  ['HEAD /api/v1/status', '200'],
  ['HEAD /api/v1/contexts/catalog/flag', '405'],
  ['DELETE /api/v1/contexts/__proto__/pin', '404'],
  ['PUT /api/v1/contexts/constructor/freeze', '404'],
  ['POST /api/v1/contexts/%2e%2e/rollback', '404'],
  ['CONNECT localhost:22', 'nothing'],
  ['CONNECT /api/v1/status', 'nothing'],
]

test('a gateway is unharmed by malformed request lines, heads and bodies', async () => {
  const { gateway, token, sendHead, call, expectUnharmed } = await startTarget()
  const answers = await Promise.all(LINES.map(async ([line]) => [line, await sendHead(`${line} HTTP/1.1\r\n`)]))
  expect(answers).toEqual(LINES)

  const heads: [string, string, string][] = [
    ['an upgrade', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n', '200'],
    ['another protocol', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n', '200'],
    ['a head that is too large', `X: ${'x'.repeat(17_000)}\r\n`, '431'],
    ['fields without end', 'a: b\r\n'.repeat(3_000), '431'],
    ['fields that are folded', 'X: a\r\n b\r\n', '400'],
    ['a body that GET has', 'Content-Length: 5\r\n', '400'],
    ['both lengths', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '400'],
    ['an expectation', 'Expect: the-moon\r\n', '417'],
    ['a preference that is long', `Accept: ${'a/b;q=0.1,'.repeat(1_500)}\r\n`, '200'],
  ]
  for (const [what, fields, status] of heads) {
    expect(await sendHead(`GET /api/v1/status HTTP/1.1\r\n${fields}`), what).toBe(status)
  }

  // In a pipeline, each request needs a valid token of its own.
  const client = await connectRaw(gateway.adminPort)
  const head = (by: string) =>
    `GET /api/v1/kill-switch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${by}\r\n\r\n`
  client.send(head('wrong') + head(token) + head('wrong') + head(token))
  await until(() => client.received().split('HTTP/1.1 ').length === 5)
  const statuses = client.received().match(/(?<=HTTP\/1\.1 )\d{3}/g)
  expect(statuses).toEqual(['401', '200', '401', '200'])
  client.destroy()

  const wrong = [12.5, '25', -1, 101, 1e9, null, [25], true].map((percentage) => ({ percentage }))
  const reasons = ['a\nb', '\u001b[2Jgone', '\u009b2J', 'x'.repeat(10_000), '', '\ud800'].map((reason) => {
    return { percentage: 25, reason }
  })
  for (const body of [...wrong, ...reasons]) {
    const { status, body: problem } = await call<Problem>('PUT', '/contexts/catalog/flag', body)
    expect([status, problem.code], JSON.stringify(body).slice(0, 60)).toEqual([422, 'bad-body'])
  }
  for (const name of ['__proto__', 'constructor', 'toString', 'nothing', 'catalog%00', 'x'.repeat(5_000)]) {
    const { status, body } = await call<Problem>('PUT', `/contexts/${name}/flag`, { percentage: 25 })
    expect([status, body.code, body.known], name.slice(0, 60)).toEqual([404, 'unknown-context', ['catalog']])
  }

  await expectUnharmed()
})

test('two concurrent requests with one Idempotency-Key make one change', async () => {
  const { call, load } = await startTarget()
  const flip = () =>
    call<ChangeResponse & Problem>('PUT', '/contexts/catalog/flag', { percentage: 25 }, { 'Idempotency-Key': 'k' })
  const both = await Promise.all([flip(), flip()])
  const done = both.filter(({ status }) => status === 200)
  const late = both.filter(({ status }) => status !== 200)
  expect(done.length).toBeGreaterThan(0)
  for (const { status, body } of late) expect([status, body.code]).toEqual([409, 'in-progress'])
  const again = await flip()
  expect(again.body).toEqual(done[0]?.body)
  expect(again.headers).toMatchObject({ 'idempotency-replayed': 'true' })
  const { body } = await call<AuditPage>('GET', '/audit')
  expect(body.records.filter(({ verb }) => verb === 'flip')).toHaveLength(1)
  expect((await load.stop()).failed).toEqual([])
})
