// Edits of the config and the flags while the gateway serves: a valid edit fails no request, an invalid one changes nothing.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RoutesConfig } from '../../src/config/define-routes.ts'
import { expectCalm } from '../kit/calm.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { sendRequest, startLoad } from '../kit/load.ts'
import { startHttpOrigin, startNamedOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { shop } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const GENERATION = 'strangler_config_edition'
const APPLIED = 'strangler_config_reloads_total{result="applied"}'
const REJECTED = 'strangler_config_reloads_total{result="rejected"}'
const DRAIN = { noticeMs: 0, limitMs: 2000 }

async function untilGeneration(gateway: Pick<TestGateway, 'metric'>, generation: number): Promise<void> {
  await until(async () => (await gateway.metric(GENERATION)) === generation)
}

async function sideOf(gateway: { port: number }, path = '/'): Promise<unknown> {
  return (await sendRequest({ port: gateway.port, path })).headers['x-side']
}

describe('a valid edit', () => {
  it('applies to new requests at once, and /readyz contains its edition', async () => {
    const [first, second] = [await startNamedOrigin('one'), await startNamedOrigin('two')]
    const gateway = await startGateway({ legacy: { url: first.url } })
    expect(await sideOf(gateway)).toBe('one')
    expect(await gateway.metric(GENERATION)).toBe(1)
    await gateway.writeConfig({ legacy: { url: second.url } })
    await untilGeneration(gateway, 2)
    expect(await sideOf(gateway)).toBe('two')
    expect((await gateway.readyz()).body).toMatchObject({ edition: 2 })
    expect(await gateway.metric(APPLIED)).toBe(2)
    await expectCalm(gateway)
  })

  it('leaves an active request on its upstream, and closes unused upstreams', async () => {
    let respond = () => {}
    const old = await startHttpOrigin((_request, response) => {
      respond = () => void response.end('old')
    })
    const next = await startNamedOrigin('next')
    const gateway = await startGateway({ legacy: { url: old.url } })
    const waiting = sendRequest({ port: gateway.port })
    await until(() => old.requests() === 1)
    await gateway.writeConfig({ legacy: { url: next.url } })
    await untilGeneration(gateway, 2)
    expect(await sideOf(gateway)).toBe('next')
    respond()
    expect(await waiting).toMatchObject({ status: 200, body: 'old' })
    let open = Number.NaN
    await until(() => {
      old.server.getConnections((_error, count) => {
        open = count
      })
      return open === 0
    })
    await expectCalm(gateway)
  })

  it('of the limits applies', async () => {
    const origin = await startNamedOrigin('legacy')
    const gateway = await startGateway({ legacy: { url: origin.url }, limits: { headersMs: 60_000 } })
    await gateway.writeConfig({
      legacy: { url: origin.url },
      limits: { headersMs: 500, targetBytes: 100, headerBytes: 900, keepAliveMs: 700 },
    })
    await untilGeneration(gateway, 2)
    const slow = await connectRaw(gateway.port)
    slow.send('GET / HTTP/1.1\r\nHos')
    const idle = await connectRaw(gateway.port)
    idle.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.receives('legacy')
    const startedAt = performance.now()
    expect(await slow.closes()).toMatch(/^HTTP\/1\.1 408 /)
    await idle.closes()
    expect(performance.now() - startedAt).toBeLessThan(3000)
    expect((await sendRequest({ port: gateway.port, path: `/${'x'.repeat(200)}` })).status).toBe(414)
    expect((await sendRequest({ port: gateway.port, headers: { 'x-long': 'x'.repeat(2000) } })).status).toBe(431)
    await expectCalm(gateway)
  })

  it.each([
    ['in place', (file: string, text: string) => writeFile(file, text)],
    [
      'by renaming another file over it',
      async (file: string, text: string) => {
        await writeFile(`${file}.swp`, text)
        await rename(`${file}.swp`, file)
      },
    ],
    [
      'by deleting it and writing it again shortly afterwards',
      async (file: string, text: string) => {
        await rm(file)
        await new Promise((resolve) => setTimeout(resolve, 300))
        await writeFile(file, text)
      },
    ],
  ])('is detected however the editor saves it: %s', async (_name, save) => {
    const [first, second] = [await startNamedOrigin('one'), await startNamedOrigin('two')]
    const gateway = await startGateway({ legacy: { url: first.url } })
    const file = join(gateway.folder, 'routes.config.json')
    const text = (await readFile(file, 'utf8')).replace(first.url, second.url)
    const load = startLoad(2, () => ({ port: gateway.port }))
    await save(file, text)
    await untilGeneration(gateway, 2)
    expect(await sideOf(gateway)).toBe('two')
    expect((await load.stop()).failed).toEqual([])
    expect(await gateway.metric(REJECTED)).toBe(0)
    await expectCalm(gateway)
  })

  it('a hundred times under load fails no request', async () => {
    const [first, second] = [await startNamedOrigin('one'), await startNamedOrigin('two')]
    const service = await startNamedOrigin('service')
    const versions = [first, second].map(({ url }, version) =>
      shop({ legacy: url, service: { url: service.url, connections: 10 + version }, with: { drain: DRAIN } }),
    )
    const gateway = await startGatewayProcess(versions[0] as object, { percentages: { 'migrate-catalog': 50 } })
    const load = startLoad(6, (number) => ({
      port: gateway.port,
      path: number % 2 === 0 ? '/products' : '/other',
      method: number % 5 === 0 ? 'POST' : 'GET',
      body: number % 5 === 0 ? 'body' : '',
      headers: { cookie: `sid=${number}` },
    }))
    const files: number[] = []
    for (let generation = 2; generation <= 101; generation++) {
      await gateway.writeConfig(JSON.stringify(versions[(generation + 1) % 2]))
      await untilGeneration(gateway, generation)
      if (generation === 11 || generation === 101) files.push(await gateway.openFiles())
    }
    const { answers, failed } = await load.stop()
    expect(failed).toEqual([])
    expect(answers.length).toBeGreaterThan(1000)
    for (const side of ['one', 'two', 'service']) {
      expect(answers.filter(({ headers }) => headers['x-side'] === side).length).toBeGreaterThan(100)
    }
    expect(files[1]).toBeLessThanOrEqual((files[0] as number) + 8)
    await expectCalm(gateway)
    expect(gateway.log()).not.toMatch(/[Uu]nhandled|uncaught|"level":"error"/)
  }, 60_000)
})

describe('an invalid edit', () => {
  it('is reported with every mistake, and the last valid config stays in force', async () => {
    const origin = await startNamedOrigin('legacy')
    const good = { legacy: { url: origin.url }, drain: DRAIN }
    const gateway = await startGatewayProcess(good)
    const load = startLoad(2, () => ({ port: gateway.port }))
    await gateway.writeConfig(
      JSON.stringify({ ...good, legacy: { url: 'ftp://nowhere', conections: 3 }, limits: { headersMs: 'soon' } }),
    )
    await until(async () => (await gateway.metric(REJECTED)) === 1)
    const line =
      gateway
        .log()
        .split('\n')
        .find((text) => text.includes('config rejected')) ?? ''
    const { mistakes } = JSON.parse(line) as { mistakes: string[] }
    expect(mistakes).toHaveLength(3)
    for (const [index, wanted] of [
      /^legacy\.conections: .*"connections"/,
      /^legacy\.url: /,
      /^limits\.headersMs: /,
    ].entries())
      expect(mistakes[index]).toMatch(wanted)

    await gateway.writeConfig('{ "legacy": ')
    await until(async () => (await gateway.metric(REJECTED)) === 2)
    expect(await gateway.metric(GENERATION)).toBe(1)
    expect(await gateway.readyz()).toBe(200)
    expect((await load.stop()).failed).toEqual([])

    await gateway.writeConfig(JSON.stringify({ ...good, retries: { budgetPercent: 10 } }))
    await untilGeneration(gateway, 2)
    expect(await sideOf(gateway)).toBe('legacy')
    await expectCalm(gateway)
  })

  it('is also a module that throws while it is loaded, or does not finish loading', async () => {
    const origin = await startNamedOrigin('legacy')
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const file = join(gateway.folder, 'routes.config.mjs')
    const write = (text: string) => writeFile(file, text)
    const good = (drain: number) =>
      `export default { legacy: { url: '${origin.url}' }, drain: { noticeMs: 0, limitMs: ${drain} } }`
    await write(good(1000))
    const other = await startGateway({ legacy: { url: origin.url } } as RoutesConfig, { config: file })
    for (const [index, bad] of [`throw new Error('no')`, 'export default {', 'export const nothing = 1'].entries()) {
      await write(bad)
      await until(async () => (await other.metric(REJECTED)) === index + 1)
      expect(await sideOf(other)).toBe('legacy')
    }
    await write(good(2000))
    await untilGeneration(other, 2)
    await expectCalm(other)
  })
})

describe('flags.json moved to 10, 50, 100 and 0 percent under load', () => {
  it('fails no request, keeps each person on a side, and shows in metrics and access log', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), {
      percentages: { 'migrate-catalog': 0 },
    })
    const people = 300
    const load = startLoad(6, (number) => ({
      port: gateway.port,
      path: '/products',
      headers: { cookie: `sid=person-${number % people}` },
    }))
    const sides = async () => {
      const answers = await Promise.all(
        Array.from({ length: people }, (_, id) =>
          sendRequest({ port: gateway.port, path: '/products', headers: { cookie: `sid=person-${id}` } }),
        ),
      )
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      return answers.map(({ headers }) => headers['x-side'] === 'service')
    }
    const share = (list: boolean[]) => list.filter(Boolean).length / list.length
    let previousSides = await sides()
    expect(share(previousSides)).toBe(0)
    for (const percent of [10, 50, 100]) {
      await gateway.setFlags({ 'migrate-catalog': percent })
      const now = await sides()
      expect(await sides()).toEqual(now)
      // A higher percentage never moves a person back to legacy.
      expect(previousSides.some((wasMoved, person) => wasMoved && !now[person])).toBe(false)
      expect(Math.abs(share(now) - percent / 100)).toBeLessThan(0.07)
      previousSides = now
    }
    await gateway.setFlags({ 'migrate-catalog': 0 })
    expect(share(await sides())).toBe(0)
    const { failed, answers } = await load.stop()
    expect(failed).toEqual([])

    const total = answers.length + 8 * people
    const counted = async (side: string, reason: string) =>
      gateway.metric(
        `strangler_requests_total{context="catalog",side="${side}",reason="${reason}",method="GET",status_class="2xx"}`,
      )
    await expectCalm(gateway)
    const [on, off] = [await counted('service', 'flag-on'), await counted('legacy', 'flag-off')]
    expect(on + off).toBe(total)
    expect(on).toBe(service.requests())
    await until(async () => (await gateway.accessLog()).length === total)
    const lines = await gateway.accessLog()
    expect(lines.filter(({ side, reason }) => side === 'service' && reason === 'flag-on')).toHaveLength(on)
    expect(await gateway.metric('strangler_flag_reads_total')).toBe(5)
  })
})
