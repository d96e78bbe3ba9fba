import { describe, expect, test } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import { mapCookie, mapReference, type PublicView } from './map-back.ts'

function viewOf(changes: Partial<PublicView> = {}): PublicView {
  const validated = validate({
    legacy: { url: 'http://127.0.0.1' },
    services: { s: { urls: ['http://10.0.0.5:3001', 'https://svc.internal', 'http://plain.internal'] } },
    contexts: {
      s: {
        ...{ owner: 'o', service: 's', flag: 'f' },
        routes: [
          { path: '/search/:word', rewrite: '/v2/find/:word' },
          { path: '/api/*', rewrite: '/v1/*' },
          { path: '/orders', rewrite: '/v3/orders' },
          { path: '/lossy/:a/:b', rewrite: '/lost/:a' },
        ],
      },
    },
  })
  if (!validated.ok) throw new Error('the map of the test is wrong')
  const { routes, services } = compile(validated.config)
  const upstream = services.get('s')!
  return {
    upstream,
    unrewrites: routes[0]!.inverseRewrites,
    scheme: 'https',
    authority: 'shop.example:8443',
    ...changes,
  }
}

describe('a reference that an upstream sends', () => {
  test.each<[string, string]>([
    ['http://10.0.0.5:3001/a?b#c', 'https://shop.example:8443/a?b#c'],
    ['HTTP://10.0.0.5:3001', 'https://shop.example:8443'],
    ['https://SVC.internal:443/a', 'https://shop.example:8443/a'],
    ['http://plain.internal:80?x', 'https://shop.example:8443?x'],
    ['//svc.internal/a', '//shop.example:8443/a'],
    ['http://me:pw@10.0.0.5:3001/a', 'https://shop.example:8443/a'],
    ['http://10.0.0.5:3001/v2/find/tea%20pot?x=/v2/find/y', 'https://shop.example:8443/search/tea%20pot?x=/v2/find/y'],
    ['/v2/find/tea', '/search/tea'],
    ['/v1/orders/7', '/api/orders/7'],
    ['/v3/orders', '/orders'],
    ['/v3/orders/7', '/orders/7'],
    ['https://shop.example:8443/v1/x', 'https://shop.example:8443/api/x'],
    // Not the upstream's: nothing is changed.
    ['http://10.0.0.5/a', 'http://10.0.0.5/a'],
    ['https://login.example/v1/x', 'https://login.example/v1/x'],
    ['//cdn.example/v1/x', '//cdn.example/v1/x'],
    ['mailto:a@10.0.0.5', 'mailto:a@10.0.0.5'],
    ['next?page=2', 'next?page=2'],
    ['/lost/a', '/lost/a'],
    ['/v22/x', '/v22/x'],
    ['', ''],
  ])('%s becomes %s', (reference, expected) => {
    expect(mapReference(reference, viewOf())).toBe(expected)
  })

  test('becomes a path if the client sent no Host', () => {
    expect(mapReference('http://10.0.0.5:3001/a', viewOf({ authority: '' }))).toBe('/a')
    expect(mapReference('http://10.0.0.5:3001', viewOf({ authority: '' }))).toBe('/')
  })

  test.each(['//evil.example', '/\\evil.example', '/\t/evil.example', '/\t\\/evil.example'])(
    'does not become a reference to another host if the rest of its path is %j',
    (rest) => {
      const validated = validate({
        legacy: { url: 'http://127.0.0.1' },
        services: { s: { url: 'http://10.0.0.5:3001' } },
        contexts: { s: { owner: 'o', service: 's', flag: 'f', routes: [{ path: '/*', rewrite: '/app/*' }] } },
      })
      if (!validated.ok) throw new Error('the map of the test is wrong')
      const { routes, services } = compile(validated.config)
      const view = viewOf({ upstream: services.get('s')!, unrewrites: routes[0]!.inverseRewrites })
      expect(mapReference(`/app${rest}`, view)).toBe('/evil.example')
      // Without a Host from the client, an absolute reference becomes a path.
      expect(mapReference(`http://10.0.0.5:3001${rest}`, { ...view, authority: '' })).toBe('/evil.example')
    },
  )

  test('is not mapped by the rewrite of a route of another host', () => {
    const validated = validate({
      legacy: { url: 'http://127.0.0.1' },
      services: { s: { url: 'http://10.0.0.5:3001' } },
      contexts: {
        s: {
          ...{ owner: 'o', service: 's', flag: 'f' },
          routes: [
            { path: '/*', rewrite: '/app/*', host: 'one.example' },
            { path: '/two/*', rewrite: '/*', host: 'two.example' },
            { path: '/any/*', rewrite: '/any-v2/*' },
          ],
        },
      },
    })
    if (!validated.ok) throw new Error('the map of the test is wrong')
    const { routes } = compile(validated.config)
    const view = viewOf({ unrewrites: routes[0]!.inverseRewrites })
    expect(mapReference('/login', view)).toBe('/login')
    expect(mapReference('/any-v2/x', view)).toBe('/any/x')
  })

  test('keeps its path if no path is rewritten', () => {
    expect(mapReference('/v1/x', viewOf({ unrewrites: [] }))).toBe('/v1/x')
  })
})

describe('a cookie that an upstream sets', () => {
  test.each<[string, string]>([
    ['a=1; Path=/; HttpOnly', 'a=1; Path=/; HttpOnly'],
    ['a=Domain=svc.internal; Domain=svc.internal; Secure', 'a=Domain=svc.internal; Secure'],
    ['a=1;domain=.SVC.internal;path=/v1', 'a=1; path=/api'],
    ['a=1; Domain=10.0.0.5', 'a=1'],
    ['a=1; Domain=shop.example', 'a=1; Domain=shop.example'],
    ['a=1; Path=/v2/find', 'a=1; Path=/search'],
    ['a=1; Path=/v3', 'a=1; Path=/'],
    ['a=1; Path=/v1/orders; SameSite=Lax', 'a=1; Path=/api/orders; SameSite=Lax'],
    ['a=1; Path=/other', 'a=1; Path=/other'],
  ])('%s becomes %s', (cookie, expected) => {
    expect(mapCookie(cookie, viewOf())).toBe(expected)
  })
})
