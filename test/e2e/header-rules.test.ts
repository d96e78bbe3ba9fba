// The map sets and removes header fields in both directions, for every kind of request.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import supertest from 'supertest'
import { expect, it, onTestFinished } from 'vitest'
import { strangler } from '../../src/express.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { runStrangler } from '../kit/process.ts'
import { exchange } from '../kit/raw.ts'

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
const ANSWER =
  'HTTP/1.1 200 OK\r\nX-Powered-By: PHP/5\r\nX-Powered-By: Zend\r\nServer: apache\r\nCache-Control: public\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'
const RULES = {
  request: { set: { 'X-Api-Key': 'k1' }, remove: ['X-Debug', 'cookie'] },
  response: { set: { 'Cache-Control': 'no-store' }, remove: ['x-powered-by'] },
}
const CONTEXT = { owner: 'a', service: 'a', flag: 'f' }
const SENT = 'X-DEBUG: 1\r\nX-Debug: 2\r\nX-Api-Key: mine\r\nCookie: a=b\r\nX-Kept: 1\r\n'

const lines = (head: string, name: string) =>
  head
    .split('\r\n')
    .filter((line) => line.toLowerCase().startsWith(`${name}: `))
    .map((line) => line.slice(name.length + 2))

async function startWith(context: object, routes: readonly unknown[], legacyRules?: object) {
  const seen: string[] = []
  const origin = await startRawOrigin((socket, bytes) => {
    seen.push(bytes.toString('latin1'))
    socket.end(ANSWER)
  })
  const config = {
    legacy: { url: origin.url, ...legacyRules },
    services: { a: { url: origin.url } },
    contexts: { a: { ...CONTEXT, ...context, routes } },
  }
  const gateway = await startGateway(config as never, { percentages: { f: 100 } })
  const ask = async (path: string, fields = SENT) => {
    const answer = await exchange(gateway.port, `GET ${path} HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n`)
    return { ...answer, sent: seen.at(-1) as string }
  }
  return { gateway, ask }
}

it('header rules of a context change plain requests, WebSocket handshakes and their responses', async () => {
  const { ask } = await startWith({ headers: RULES }, ['/a', { path: '/live', upgrade: true }])
  for (const [path, fields] of [
    ['/a', SENT],
    ['/live', SENT + UPGRADE],
  ] as const) {
    const { status, head, sent } = await ask(path, fields)
    expect(status).toBe(200)
    expect(lines(sent, 'x-api-key')).toEqual(['k1'])
    expect(lines(sent, 'x-debug')).toEqual([])
    expect(lines(sent, 'cookie')).toEqual([])
    expect(lines(sent, 'x-kept')).toEqual(['1'])
    expect(lines(head, 'x-powered-by')).toEqual([])
    expect(lines(head, 'cache-control')).toEqual(['no-store'])
    expect(lines(head, 'server')).toEqual(['apache'])
    expect(lines(head, 'x-request-id')).toHaveLength(1)
    expect(lines(head, 'set-cookie').join()).toMatch(/^strangler_id=/)
  }
})

it('a client cannot remove with Connection a field that the map sets', async () => {
  const { ask } = await startWith({ headers: RULES }, ['/a'])
  const { sent } = await ask('/a', 'Connection: X-Api-Key\r\n')
  expect(lines(sent, 'x-api-key')).toEqual(['k1'])
})

it('a rule of a route replaces the rule of its context for the same field, and keeps the others', async () => {
  const own = { request: { set: { 'x-debug': '3' }, remove: ['X-API-KEY'] }, response: { remove: ['Server'] } }
  const { ask } = await startWith({ headers: RULES }, [{ path: '/a', headers: own }])
  const { head, sent } = await ask('/a')
  expect(lines(sent, 'x-debug')).toEqual(['3'])
  expect(lines(sent, 'x-api-key')).toEqual([])
  expect(lines(sent, 'cookie')).toEqual([])
  expect(lines(head, 'server')).toEqual([])
  expect(lines(head, 'x-powered-by')).toEqual([])
})

it('header rules of legacy apply to the paths that no context owns, and to no other', async () => {
  const { ask } = await startWith({}, ['/a'], { headers: RULES })
  const unowned = await ask('/elsewhere')
  expect(lines(unowned.sent, 'x-api-key')).toEqual(['k1'])
  expect(lines(unowned.head, 'x-powered-by')).toEqual([])
  const owned = await ask('/a')
  expect(lines(owned.sent, 'x-api-key')).toEqual(['mine'])
  expect(lines(owned.head, 'x-powered-by')).toEqual(['PHP/5', 'Zend'])
})

it('header rules do not change the gateway’s own errors', async () => {
  const { gateway } = await startWith({ headers: { response: { set: { 'X-By': 'map' } } } }, ['/a/*'])
  const { status, head } = await exchange(gateway.port, 'GET /a/b%2Fc HTTP/1.1\r\nHost: shop.example\r\n\r\n')
  expect(status).toBe(400)
  expect(lines(head, 'x-by')).toEqual([])
})

it('header rules inside Express apply to requests to the service, and not to requests of the application', async () => {
  let sent = ''
  const origin = await startRawOrigin((socket, bytes) => {
    sent = bytes.toString('latin1')
    socket.end(ANSWER)
  })
  const folder = await mkdtemp(join(tmpdir(), 'strangler-header-rules-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'flags.json'), flagFile({ f: 100, g: 0 }))
  const routes = {
    services: { a: { url: origin.url } },
    contexts: {
      a: { ...CONTEXT, headers: RULES, routes: ['/a'] },
      b: { ...CONTEXT, flag: 'g', headers: RULES, routes: ['/b'] },
    },
  }
  const gate = strangler(routes, { flags: join(folder, 'flags.json'), stateDir: folder, logLevel: 'silent' })
  await gate.ready
  onTestFinished(() => gate.close())
  const application = express()
    .disable('x-powered-by')
    .use(gate, (request, response) => void response.json(request.headers))
  const away = await supertest(application).get('/a').set('X-Debug', '1').set('X-Api-Key', 'mine')
  expect(lines(sent, 'x-api-key')).toEqual(['k1'])
  expect(lines(sent, 'x-debug')).toEqual([])
  expect(away.headers).toMatchObject({ 'cache-control': 'no-store', server: 'apache' })
  expect(away.headers).not.toHaveProperty('x-powered-by')
  const response = await supertest(application).get('/b').set('X-Debug', '1')
  expect(response.body).toMatchObject({ 'x-debug': '1' })
})

it('explain names the header rules that apply, without their values', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-header-rules-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const map = { legacy: { url: 'http://127.0.0.1:1', headers: RULES } }
  await writeFile(join(folder, 'map.json'), JSON.stringify(map))
  await writeFile(join(folder, 'flags.json'), flagFile({}))
  const { stdout } = await runStrangler(['explain', 'GET', '/', '--config', 'map.json', '--offline'], { cwd: folder })
  expect(stdout).toMatch(/^ {2}headers {3}request: X-Api-Key set\n {12}request: x-debug, cookie removed\n/m)
  expect(stdout).toMatch(/^ {12}response: Cache-Control set\n {12}response: x-powered-by removed\n/m)
  expect(stdout).not.toContain('k1')
})
