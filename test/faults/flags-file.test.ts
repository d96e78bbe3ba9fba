// flags.json is missing, invalid or without the flag: legacy or the last valid flags decide, and it is reported (F15).
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { flagFile, startGateway, type TestGateway } from '../kit/gateway.ts'
import { sendRequest, startLoad } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

async function startShop(options: object) {
  const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
  const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), options)
  const sideNow = async () => (await sendRequest({ port: gateway.port, path: '/products' })).headers['x-side']
  return { gateway, sideNow, flags: join(gateway.folder, 'flags.json') }
}

/** A file that was read before this time is not the one that the test wrote. */
async function withoutFile() {
  return startShop({ flags: '/nonexistent/flags.json' })
}

function lineOf(gateway: TestGateway, wanted: string) {
  return gateway.accessLine(({ reason }) => reason === wanted)
}

describe('flags.json', () => {
  it('that is missing at the start leaves all requests with legacy, is reported, and takes effect when it appears', async () => {
    const { gateway, sideNow } = await withoutFile()
    expect(await sideNow()).toBe('legacy')
    expect(await lineOf(gateway, 'flags-stale')).toMatchObject({ side: 'legacy', status: 200 })
    const { body } = await gateway.readyz()
    expect(body.flags).toMatchObject({ stale: true, ageSeconds: null })
    expect(await gateway.metric('strangler_flag_failures_total')).toBe(1)
    await expectCalm(gateway)
  })

  it('that appears later takes effect within a second', async () => {
    const { gateway, sideNow, flags } = await startShop(TO_SERVICE)
    await rm(flags)
    const later = await startGateway(JSON.parse(await readFile(join(gateway.folder, 'routes.config.json'), 'utf8')), {
      flags,
    })
    const sideLater = async () => (await sendRequest({ port: later.port, path: '/products' })).headers['x-side']
    expect(await sideLater()).toBe('legacy')
    await writeFile(flags, flagFile({ 'migrate-catalog': 100 }))
    const writtenAt = performance.now()
    await until(async () => (await sideLater()) === 'service')
    expect(performance.now() - writtenAt).toBeLessThan(1000)
    expect(await sideNow()).toBe('service')
    await expectCalm(later)
  })

  it('that is deleted under load leaves the last valid flags in effect', async () => {
    const { gateway, sideNow, flags } = await startShop(TO_SERVICE)
    const load = startLoad(4, () => ({ port: gateway.port, path: '/products' }))
    await rm(flags)
    await until(() => load.answers.length > 300)
    const { failed, answers } = await load.stop()
    expect(failed).toEqual([])
    expect(new Set(answers.map(({ headers }) => headers['x-side']))).toEqual(new Set(['service']))
    expect(await sideNow()).toBe('service')
    await expectCalm(gateway)
  })

  it.each([
    ['garbage', '{"features": [ what'],
    ['nothing', ''],
    ['JSON of another type', '[]'],
    ['an invalid percentage', flagFile({ 'migrate-catalog': 12.5 })],
    ['binary', '\0\u0001\u0002'],
  ])(
    'that is overwritten with %s is reported, and the last valid flags stay in effect until it is corrected',
    async (_name, text) => {
      const { gateway, sideNow, flags } = await startShop(TO_SERVICE)
      await writeFile(`${flags}.next`, text)
      await rename(`${flags}.next`, flags)
      await until(async () => (await gateway.metric('strangler_flag_failures_total')) >= 1)
      expect(await sideNow()).toBe('service')
      expect((await gateway.readyz()).status).toBe(200)
      await gateway.setFlags({ 'migrate-catalog': 0 })
      expect(await sideNow()).toBe('legacy')
      await expectCalm(gateway)
    },
  )

  it('from which a flag was removed sends its context to legacy, with a log line and a metric', async () => {
    const { gateway, sideNow } = await startShop(TO_SERVICE)
    expect(await sideNow()).toBe('service')
    await gateway.setFlags({ 'another-flag': 100 })
    expect(await sideNow()).toBe('legacy')
    expect(await lineOf(gateway, 'flag-missing')).toMatchObject({ side: 'legacy', status: 200 })
    expect(await gateway.metric('strangler_flag_missing_total{context="catalog"}')).toBe(1)
    await expectCalm(gateway)
  })
})
