// `strangler status` against a real gateway: it shows what serves, and what on disk is not in force.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler } from '../kit/process.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

async function statusOf(gateway: TestGateway): Promise<string> {
  const token = (await readFile(join(gateway.folder, 'state', 'admin-token'), 'utf8')).trim()
  const env = { STRANGLER_URL: `http://127.0.0.1:${gateway.adminPort}`, STRANGLER_TOKEN: token }
  const { code, stdout, stderr } = await runStrangler(['status'], { env })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.next`, text)
  await rename(`${file}.next`, file)
}

describe('a file on disk that was rejected', () => {
  it.each([
    ['map', 'routes.config.json', /^map +\S*routes\.config\.json rejected since \d\d:\d\d: legacy.*; the last good/m],
    ['flags', 'flags.json', /^flags file +\S*flags\.json rejected since \d\d:\d\d: is not JSON.*; the last good/m],
  ])('is reported in status, /readyz and the metrics until it is mended: the %s', async (file, name, line) => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), TO_SERVICE)
    const path = join(gateway.folder, name)
    const metric = () => gateway.metric(`strangler_config_rejected{file="${file}"}`)
    const good = await readFile(path, 'utf8')
    expect(await metric()).toBe(0)
    expect((await gateway.readyz()).body.rejectedFiles).toEqual([])

    await replace(path, file === 'map' ? '{ "legacy": 7 }' : '{')
    await until(async () => (await metric()) === 1)
    const { status, body } = await gateway.readyz()
    expect(status).toBe(200)
    expect(body.rejectedFiles).toEqual([{ file, path, since: expect.any(Number), mistake: expect.any(String) }])
    expect(await statusOf(gateway)).toMatch(line)

    await replace(path, good)
    await until(async () => (await metric()) === 0)
    expect((await gateway.readyz()).body.rejectedFiles).toEqual([])
    expect(await statusOf(gateway)).not.toContain('rejected')
  })
})
