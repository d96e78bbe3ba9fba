import { expect, test } from 'vitest'
import { createMetricsPage } from './metrics-page.ts'

function counting() {
  let [collected, now] = [0, 0]
  const pass = (ms: number) => {
    now += ms
  }
  const registry = { metrics: async () => `collected ${++collected}` } as never
  return { registry, pass, now: () => now, collected: () => collected }
}

test('scrapes within a second share one collection, also concurrent scrapes', async () => {
  const { registry, now, pass, collected } = counting()
  const page = createMetricsPage(registry, 1000, now)
  const texts = await Promise.all([page(), page(), page()])
  pass(999)
  texts.push(await page())
  expect(texts.map(String)).toEqual(Array(4).fill('collected 1'))
  expect(collected()).toBe(1)
  pass(1)
  expect(String(await page())).toBe('collected 2')
})

test('with a maximum age of 0 each scrape collects', async () => {
  const { registry, now } = counting()
  const page = createMetricsPage(registry, 0, now)
  expect([String(await page()), String(await page())]).toEqual(['collected 1', 'collected 2'])
})

test('a collection that failed is not served again', async () => {
  let hasFailed = false
  const metrics = async () => {
    if (hasFailed) return 'fine'
    hasFailed = true
    throw new Error('no')
  }
  const page = createMetricsPage({ metrics } as never, 1000, () => 0)
  await expect(page()).rejects.toThrow('no')
  expect(String(await page())).toBe('fine')
})
