import { expect, onTestFinished, test } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import type { Side } from '../../model/route.ts'
import { quietEvents } from '../../telemetry/quiet-events.ts'
import { readHead } from '../policy/read-head.ts'
import { Refusal } from '../policy/refusal.ts'
import { Upstreams } from '../upstream/upstreams.ts'
import { copyFor } from './copy-for.ts'

function start(method = 'GET') {
  const valid = validate({
    ejection: { consecutiveFailures: 1, baseMs: 1000, maxMs: 1000, maxPercent: 100 },
    identity: { user: { header: 'X-Shop-User', trust: ['192.0.2.1'] } },
    legacy: { urls: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] },
    services: { catalog: { url: 'https://catalog.internal:8443', host: 'preserve' } },
    contexts: {
      catalog: {
        owner: 'a',
        service: 'catalog',
        flag: 'migrate-catalog',
        routes: [{ path: '/shop/:id', rewrite: '/v2/items/:id' }],
      },
    },
  })
  if (!valid.ok) throw new Error(JSON.stringify(valid.mistakes))
  const snapshot = compile(valid.config)
  const upstreams = new Upstreams({ now: () => 0, events: quietEvents })
  onTestFinished(() => upstreams.close())
  upstreams.apply(snapshot)
  const head = readHead(
    {
      ...{ method, target: '/shop/7?a=b', majorVersion: 1, minorVersion: 1, peerAddress: '192.0.2.1', secure: false },
      rawHeaders: ['Host', 'shop.example', 'X-Shadow', '1', 'X-Shop-User', 'anna'],
    },
    snapshot,
  )
  if (head instanceof Refusal) throw new Error(head.detail)
  const identity = {
    ...{ kind: 'user', key: 'anna', clientAddress: '192.0.2.1', secure: false, requestId: 'r', isNew: false },
  } as const
  const match = snapshot.match(method, 'shop.example', '/shop/7')
  const make = copyFor(
    { upstreams, viaName: 'me' },
    {
      head,
      identity: identity as never,
      snapshot,
      match,
      traceparent: '00-1-2-01',
      tap: undefined,
      decision: {} as never,
    },
  )
  const out = (side: Side, which: number) => {
    const live = upstreams.get(side === 'legacy' ? snapshot.legacy : snapshot.services.get('catalog')!)
    upstreams.recordFailure(live, live.addresses[which]!, true, 'a test')
  }
  return { make, out }
}

test('a copy has the path, the Host and the TLS server name of its side', () => {
  const { make } = start()
  expect(make('service')).toMatchObject({
    ...{ origin: 'https://catalog.internal:8443', servername: 'catalog.internal', method: 'GET' },
    path: '/v2/items/7?a=b',
    fields: expect.arrayContaining(['Host', 'shop.example']),
    identityFields: ['x-shop-user'],
  })
  const legacy = make('legacy')
  expect(legacy).toMatchObject({ path: '/shop/7?a=b', servername: '' })
  expect(legacy?.fields).not.toContain('X-Shadow')
})

test('a copy goes to no unavailable address, and is not made if all addresses of a side are unavailable', () => {
  const { make, out } = start()
  out('legacy', 0)
  expect([make('legacy'), make('legacy')].map((copy) => copy?.origin)).toEqual([
    'http://127.0.0.1:2',
    'http://127.0.0.1:2',
  ])
  out('legacy', 1)
  expect(make('legacy'), 'though clients are sent there all the same').toBeUndefined()
  out('service', 0)
  expect(make('service')).toBeUndefined()
})
