// Is the extraction faithful? Monolith and catalog run side by side, as processes, and are asked the same things.
// Allowed to differ: who served it, when it was generated, and the price with tax of the products named below.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The products whose net price is an odd number of euros and fifty cents. */
const ROUNDED_OTHERWISE = [7, 27, 47, 67, 87, 107]
const NOISE = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?="\}$|<\/time><\/p>)/gm
const PRICE_IN_JSON = /"priceWithTax":[\d.]+/g
const PRICE_ON_PAGE = /(?<=<span class="price-with-tax">)[^<]+/g

let folder: string
let monolith: Running
let catalog: Running

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'faithful-'))
  monolith = await run('../../legacy-monolith/server.ts', 'monolith.sqlite')
  catalog = await run('server.ts', 'catalog.sqlite')
})

afterAll(async () => {
  const exits = await Promise.all([monolith, catalog].map(stop))
  rmSync(folder, { recursive: true })
  expect(exits).toEqual([0, 0])
})

const products = Array.from({ length: 120 }, (_, index) => index + 1)
const lists = [
  '',
  '?page=2',
  '?page=11',
  '?category=books&sort=-price',
  '?category=nothing',
  '?sort=newest&pageSize=100',
  '?sort=price&pageSize=7&page=3',
  '?q=fig',
  '?q=%25',
  '?q=%22%3E%3Cscript%3E',
  '?q=a&q=b',
  '?page=0',
  '?page=x',
  '?pageSize=101',
  '?sort=colour',
]

describe('answers the same as the monolith', () => {
  it.each([
    ...lists.flatMap((list) => [`/products${list}`, `/search${list}`, `/api/catalog/products${list}`]),
    '/api/catalog/categories',
    '/api/catalog/categories/books',
    '/api/catalog/categories/tools?page=2&pageSize=4',
    '/api/catalog/categories/nothing',
    '/api/catalog/products/121',
    '/api/catalog/products/seven',
    '/api/catalog/nothing',
    '/products/121',
    '/products/seven',
    '/products/%00',
    '/products/%zz',
  ])('to GET %s', async (path) => {
    const [legacy, service] = await ask('get', path)
    expect(withoutNoise(service.text).replaceAll(PRICE_IN_JSON, '').replaceAll(PRICE_ON_PAGE, '')).toBe(
      withoutNoise(legacy.text).replaceAll(PRICE_IN_JSON, '').replaceAll(PRICE_ON_PAGE, ''),
    )
    expect(comparable(service)).toEqual(comparable(legacy))
  })

  it('to HEAD, to a conditional GET, and to methods that the catalog does not know', async () => {
    for (const path of ['/products/7', '/products', '/api/catalog/products', '/api/catalog/products/7']) {
      const [legacy, service] = await ask('head', path)
      expect(comparable(service)).toEqual(comparable(legacy))
      const [notModified, fresh] = await ask('get', path, { 'If-None-Match': String(legacy.headers.etag) })
      expect([notModified.status, fresh.status]).toEqual([304, 304])
      expect(comparable(fresh)).toEqual(comparable(notModified))
    }
    const [legacy, service] = await ask('post', '/api/catalog/products/7')
    expect(comparable(service)).toEqual(comparable(legacy))
    expect(service.body).toEqual(legacy.body)
  })

  it('builds links for the host that the browser asked', async () => {
    const forwarded = { 'X-Forwarded-Host': 'shop.example', 'X-Forwarded-Proto': 'https' }
    const [legacy, service] = await ask('get', '/products/8', forwarded)
    expect(service.text).toContain('href="https://shop.example/products/8"')
    expect(withoutNoise(service.text)).toBe(withoutNoise(legacy.text))
  })
})

describe('differs on purpose', () => {
  it('in the price with tax of six products, by one cent, as JSON and on the page', async () => {
    const differing: number[] = []
    for (const id of products) {
      const [legacy, service] = await ask('get', `/api/catalog/products/${id}`)
      const { generatedAt: _one, priceWithTax: legacyPrice, ...asBefore } = legacy.body
      const { generatedAt: _other, priceWithTax: servicePrice, ...asNow } = service.body
      expect(asNow).toEqual(asBefore)
      if (servicePrice === legacyPrice) continue
      differing.push(id)
      expect(Math.round((legacyPrice - servicePrice) * 100)).toBe(1)
      const [page, newPage] = await ask('get', `/products/${id}`)
      expect(page.text.match(PRICE_ON_PAGE)).toEqual([`€${legacyPrice.toFixed(2)}`])
      expect(newPage.text.match(PRICE_ON_PAGE)).toEqual([`€${servicePrice.toFixed(2)}`])
      expect(withoutNoise(newPage.text).replace(PRICE_ON_PAGE, '')).toBe(
        withoutNoise(page.text).replace(PRICE_ON_PAGE, ''),
      )
    }
    expect(differing).toEqual(ROUNDED_OTHERWISE)
  })

  it('in the time of generation, which differs from answer to answer on either side', async () => {
    const [legacy, service] = await ask('get', '/api/catalog/products/8')
    for (const answer of [legacy, service]) expect(answer.body.generatedAt).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
    expect({ ...service.body, generatedAt: '' }).toEqual({ ...legacy.body, generatedAt: '' })
  })

  it('in who says that he served it', async () => {
    const [legacy, service] = await ask('get', '/products/8')
    expect([legacy.headers['x-served-by'], service.headers['x-served-by']]).toEqual(['monolith', 'catalog'])
  })
})

it('says that it is well', async () => {
  await request(catalog.url).get('/healthz').expect(200, { status: 'ok' })
})

type Method = 'get' | 'head' | 'post'

/** The gateway rewrites /search to /v2/search for the service: so does this. */
function ask(method: Method, path: string, headers: Record<string, string> = {}) {
  const same = { Host: 'shop.example', ...headers }
  return Promise.all([
    request(monolith.url)[method](path).set(same),
    request(catalog.url)
      [method](path.replace(/^\/search/, '/v2/search'))
      .set(same),
  ])
}

function withoutNoise(text: string): string {
  return text.replaceAll(NOISE, '')
}

function comparable(answer: request.Response) {
  const { date: _date, 'x-served-by': _servedBy, ...headers } = answer.headers
  return { status: answer.status, headers }
}

interface Running {
  readonly url: string
  readonly process: ChildProcess
}

async function run(file: string, dataFile: string): Promise<Running> {
  const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', DATA_FILE: join(folder, dataFile) }
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [path], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listens on (\S+)/.exec(line)?.[1]
    if (url === undefined) continue
    child.stdout.resume()
    return { url, process: child }
  }
  throw new Error(`${file} did not start`)
}

async function stop({ process: child }: Running): Promise<number | null> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const [code] = await exited
  return code
}
