// Failures of Unleash that a test cannot cause in a real one. The contract with a real one is in test/contract/unleash.test.ts.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { rolloutAt } from '../flag-rules.test-kit.ts'
import { environmentOf, UnleashWriter } from './unleash-writer.ts'

const TOKEN = '*:*.a-secret-that-stays-one'
const order = { context: 'orders', by: 'anna', reason: null }

type Handler = (request: IncomingMessage, response: ServerResponse, nth: number) => void

/** A server that answers with the handler; `nth` counts the requests from 0. */
async function startStub(handle: Handler) {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    handle(request, response, requests.length - 1)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`
  const writer = new UnleashWriter({
    url,
    adminToken: TOKEN,
    project: 'default',
    environment: 'development',
    timeoutMs: 1000,
  })
  return { requests, writer }
}

const json = (response: ServerResponse, status: number, body: unknown) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

const shown = (percentage: number, enabled = true) => ({
  environments: [{ name: 'development', enabled, strategies: [rolloutAt(percentage, { id: 'only' })] }],
})

describe('a write to an Unleash', () => {
  test.each<[string, Handler, RegExp]>([
    [
      'answers 500',
      (_request, response) => json(response, 500, { message: 'the pool is empty' }),
      /answered 500: the pool is empty$/,
    ],
    [
      'answers 503 as a proxy does',
      (_request, response) => void response.writeHead(503).end('<h1>no</h1>'),
      /answered 503$/,
    ],
    [
      'answers a page',
      (_request, response) => void response.end('<!doctype html>'),
      /not with JSON: UNLEASH_URL must be the address of its API/,
    ],
    [
      'answers another thing',
      (_request, response) => json(response, 200, { features: [] }),
      /in a form that this gateway does not understand/,
    ],
    ['answers nothing', (_request, response) => void response.end(), /in a form that this gateway does not understand/],
    ['never answers', () => {}, /did not answer within 1000 ms/],
    ['never ends its response', (_request, response) => void response.write('{'), /did not answer within 1000 ms/],
    ['hangs up', (request) => void request.socket.destroy(), /cannot be reached/],
    [
      'redirects',
      (_request, response) => void response.writeHead(302, { location: '/login' }).end(),
      /cannot be reached/,
    ],
    ['sends an endless response', flood, /answered with more than 4194304 bytes/],
    [
      'shows the token',
      (_request, response) => json(response, 403, { message: `${TOKEN} may not` }),
      /not allow this .*403: … may not/,
    ],
    [
      'does not know the token',
      (_request, response) => json(response, 401, {}),
      /does not know the admin token \(401\): set UNLEASH_ADMIN_TOKEN/,
    ],
  ])('that %s fails with a reason', async (_what, handle, why) => {
    const { writer, requests } = await startStub(handle)
    const result = await writer.setPercentage('orders', 10, order)
    expect(result).toEqual({ kind: 'failed', reason: expect.stringMatching(why) })
    expect(requests).toHaveLength(1)
    expect((await writer.read('orders')).why).toMatch(why)
    expect(JSON.stringify(result)).not.toContain(TOKEN)
  })

  test('that is not there fails with a URL without its password', async () => {
    const writer = new UnleashWriter({
      url: 'http://127.0.0.1:1/api',
      adminToken: TOKEN,
      project: 'default',
      environment: 'development',
    })
    expect(await writer.setPercentage('orders', 10, order)).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(/^Unleash at http:\/\/127.0.0.1:1\/api cannot be reached/),
    })
  })
})

describe('a write that was made in part', () => {
  test('reports without a response that the change may have been made', async () => {
    const { writer } = await startStub((_request, response, nth) => nth === 0 && json(response, 200, shown(5)))
    expect(await writer.setPercentage('orders', 10, order)).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(/did not answer within 1000 ms; the change may have been made$/),
    })
  })

  test('reports a rollout that was set in an environment that could not be switched on', async () => {
    const { writer, requests } = await startStub((request, response) => {
      if (request.url?.endsWith('/on')) json(response, 403, { message: 'no permission' })
      else json(response, 200, shown(5, false))
    })
    expect(await writer.setPercentage('orders', 10, order)).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(/403: no permission.*; the rollout is at 10 %, but "development" is still off$/),
    })
    expect(requests[1]).toMatch(/^PATCH .*\/strategies\/only$/)
  })

  test('reports the percentage that another client has written at the same time', async () => {
    const { writer } = await startStub((_request, response, nth) => json(response, 200, shown(nth < 2 ? 5 : 77)))
    expect(await writer.setPercentage('orders', 10, order)).toEqual({ kind: 'written', before: 5, after: 77 })
  })

  test('reports a flag that cannot be read again', async () => {
    const { writer } = await startStub((_request, response, nth) => json(response, nth < 2 ? 200 : 500, shown(5)))
    expect(await writer.setPercentage('orders', 10, order)).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(
        /^the change was accepted, but flag "orders" cannot be read again: .* answered 500/,
      ),
    })
  })

  test('notes that a flag was switched on', async () => {
    const { writer } = await startStub((request, response, nth) =>
      json(response, 200, request.method === 'GET' && nth === 0 ? shown(10, false) : shown(10)),
    )
    expect(await writer.setPercentage('orders', 10, order)).toEqual({
      kind: 'written',
      before: 0,
      after: 10,
      note: 'flag "orders" was switched off in Unleash, and is on now',
    })
  })

  test('does not write a flag that has the percentage already', async () => {
    const { writer, requests } = await startStub((_request, response) => json(response, 200, shown(10)))
    expect(await writer.setPercentage('orders', 10, order)).toEqual({ kind: 'written', before: 10, after: 10 })
    expect(requests.every((line) => line.startsWith('GET '))).toBe(true)
  })
})

test('encodes names as parts of a path', async () => {
  const { writer, requests } = await startStub((_request, response) => json(response, 200, shown(10)))
  await writer.read('../../users?x=1')
  expect(requests).toEqual(['GET /api/admin/projects/default/features/..%2F..%2Fusers%3Fx%3D1'])
})

test('to an invalid percentage sends no request', async () => {
  const { writer, requests } = await startStub((_request, response) => json(response, 200, shown(10)))
  expect(await writer.setPercentage('orders', 12.5, order)).toMatchObject({ kind: 'refused' })
  expect(requests).toEqual([])
})

test.each([
  ['default:production.abc', 'production'],
  ['*:development.abc.def', 'development'],
  ['[]:staging.abc', 'staging'],
  ['*:*.abc', undefined],
  ['abc', undefined],
  ['user:abc', undefined],
])('the environment of the token %s is %s', (token, environment) => {
  expect(environmentOf(token)).toBe(environment)
})

function flood(_request: IncomingMessage, response: ServerResponse): void {
  response.end('x'.repeat(5 * 1024 * 1024))
}
