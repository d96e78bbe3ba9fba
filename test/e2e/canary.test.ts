// The main promise: each context is split by its flag, a person stays on one side, and the log contains the reason.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startNamedOrigin } from '../kit/origin.ts'

async function startShop(percentages: Record<string, number>) {
  const [legacy, catalog] = [await startNamedOrigin('legacy'), await startNamedOrigin('catalog')]
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      services: { catalog: { url: catalog.url } },
      contexts: {
        catalog: {
          owner: 'team-catalog',
          service: 'catalog',
          flag: 'migrate-catalog',
          routes: ['GET /products', { path: '/search/:word', methods: ['GET'], rewrite: '/v2/search/:word' }],
        },
      },
      identity: { session: { cookie: 'sid' } },
    },
    { percentages },
  )
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers })
    return { answer, body: (await answer.json()) as { side: string; path: string } }
  }
  return { gateway, ask }
}

describe('a context behind its flag', () => {
  it('is answered by legacy at 0 % and by the service at 100 %; legacy answers paths that no context owns', async () => {
    const { gateway, ask } = await startShop({ 'migrate-catalog': 0 })
    expect((await ask('/products')).body.side).toBe('legacy')
    await gateway.setFlags({ 'migrate-catalog': 100 })
    expect((await ask('/products')).body.side).toBe('catalog')
    expect((await ask('/other')).body.side).toBe('legacy')
  })

  it('rewrites the path only for the service', async () => {
    const { gateway, ask } = await startShop({ 'migrate-catalog': 0 })
    expect((await ask('/search/tea?page=2')).body.path).toBe('/search/tea?page=2')
    await gateway.setFlags({ 'migrate-catalog': 100 })
    expect((await ask('/search/tea?page=2')).body.path).toBe('/v2/search/tea?page=2')
  })

  it('keeps each session on its side while the percentage rises', async () => {
    const { gateway, ask } = await startShop({ 'migrate-catalog': 10 })
    const sidesAt = async () =>
      Promise.all(
        Array.from({ length: 200 }, async (_, i) => (await ask('/products', { cookie: `sid=${i}` })).body.side),
      )
    const at10 = await sidesAt()
    expect(await sidesAt()).toEqual(at10)
    await gateway.setFlags({ 'migrate-catalog': 50 })
    const at50 = await sidesAt()
    for (const [i, side] of at10.entries()) if (side === 'catalog') expect(at50[i]).toBe('catalog')
    const moved = at50.filter((side) => side === 'catalog').length
    expect(moved).toBeGreaterThan(70)
    expect(moved).toBeLessThan(130)
  })

  it('gives a client without user and session an anonymous id, and decides by it from the first request', async () => {
    const { ask } = await startShop({ 'migrate-catalog': 50 })
    for (let i = 0; i < 20; i++) {
      const first = await ask('/products')
      const cookie = first.answer.headers.get('set-cookie') ?? ''
      expect(cookie).toMatch(/^strangler_id=[0-9a-f]{32}\.[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
      const again = await ask('/products', { cookie: cookie.split(';')[0] as string })
      expect(again.body.side).toBe(first.body.side)
      expect(again.answer.headers.get('set-cookie')).toBeNull()
    }
  })

  it('logs the reason of each decision', async () => {
    const { gateway, ask } = await startShop({})
    expect((await ask('/products?token=abc')).body.side).toBe('legacy')
    const line = await gateway.accessLine(({ context }) => context === 'catalog')
    expect(line).toMatchObject({ side: 'legacy', reason: 'flag-missing', status: 200, route: '/products' })
    expect(JSON.stringify(line)).not.toContain('abc')
    expect(await gateway.metric('strangler_flag_missing_total{context="catalog"}')).toBe(1)
  })
})
