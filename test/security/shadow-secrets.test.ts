// Secrets in requests and responses pass through the comparison and must not be stored or shown: not in a log, a metric, the state, or
// a response of the admin API.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { sendRequest } from '../kit/load.ts'
import { startHttpOrigin } from '../kit/origin.ts'
import { type GatewayProcess, startGatewayProcess } from '../kit/process.ts'
import { type RedisProcess, startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 90_000 })

/** Unique values in the form of real secrets. */
const SECRETS = {
  authorization: 'b3arerPl4nt9f2Qk7ZtXw1Lm5',
  apiKey: 'sk_live_Pl4nt4eC39HqLyjWDarjtT1',
  cookie: 's+Pl4ntC00kie7Kq2Zt/9xWm4Lp8Vb1=',
  query: 'Pl4ntQu3ry r3s3t&T0k3n',
  path: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudCJ9.UGw0bnRQYXRo',
  requestBody: 'Pl4nt correct horse battery',
  responseBody: 'Pl4ntResp0nse staple',
  bodyToken: 'Pl4ntB0dyT0k3n5Zx81Kq27Lm93',
  bodyEmail: 'pl4nt.anna@mail.example',
  bodyKey: 'pl4nt.key@mail.example',
  nested: 'Pl4ntN3sted pass phrase',
  setCookie: 'Pl4ntS3tC00kie4Lp8Vb1Kq2Zt9xWm',
  answerHeader: 'Pl4ntAnsw3rH3ader7Kq2Zt9xWm4Lp',
} as const

async function startOrigin(side: string) {
  return startHttpOrigin((request, response) => {
    request.resume().on('end', () => {
      if (request.headers['x-shadow'] !== undefined) response.setHeader('X-Shadow-Accepted', 'dry-run')
      if (request.url === '/.well-known/shadow') {
        response.writeHead(204).end()
        return
      }
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'Set-Cookie': [`sid=${SECRETS.setCookie}${side}; Path=/`, `other=${SECRETS.setCookie}; Path=/${side}`],
        'X-Auth-Token': `${SECRETS.answerHeader}${side}`,
      })
      // Each value differs between the sides, so that each becomes a difference with examples.
      response.end(
        JSON.stringify({
          price: side,
          password: `${SECRETS.responseBody} ${side}`,
          note: `write to ${SECRETS.bodyEmail} ${side}`,
          session: { id: `${SECRETS.bodyToken}${side}` },
          [SECRETS.bodyKey]: side,
          nested: JSON.stringify({ side, password: `${SECRETS.nested} ${side}` }),
        }),
      )
    })
  })
}

async function startGateway(env: Record<string, string> = {}) {
  const [legacy, service] = await Promise.all([startOrigin('legacy'), startOrigin('service')])
  return startGatewayProcess(
    {
      legacy: { url: legacy.url },
      services: { catalog: { url: service.url } },
      shadowing: { lagMs: 60_000, cpuShare: 1 },
      contexts: {
        catalog: {
          owner: 'team-catalog',
          service: 'catalog',
          flag: 'migrate-catalog',
          routes: ['/products/*'],
          shadow: { sample: 1, writes: 'dry-run' },
        },
      },
    },
    { percentages: { 'migrate-catalog': 0 }, args: ['--log-level', 'debug'], env },
  )
}

async function askOften({ port, metric }: GatewayProcess): Promise<void> {
  const headers = {
    Authorization: `Bearer ${SECRETS.authorization}`,
    'X-Api-Key': SECRETS.apiKey,
    Cookie: `sid=${SECRETS.cookie}; theme=dark`,
    'Content-Type': 'application/json',
  }
  const path = `/products/${SECRETS.path}?token=${encodeURIComponent(SECRETS.query)}&page=2`
  const body = JSON.stringify({ password: SECRETS.requestBody, token: SECRETS.bodyToken })
  for (let i = 0; i < 5; i++) {
    expect((await sendRequest({ port, path, headers })).status).toBe(200)
    expect((await sendRequest({ port, path, method: 'POST', headers, body })).status).toBe(200)
  }
  const ended = 'strangler_shadow_outcomes_total{context="catalog",outcome="inconclusive",reason=""}'
  await until(async () => (await metric(ended)) === 10, 60_000)
}

/** All that the admin API returns about comparisons, once both routes have examples. */
async function apiOf({ folder, adminPort }: GatewayProcess): Promise<string[]> {
  const token = (await readFile(join(folder, 'state', 'admin-token'), 'utf8')).trim()
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/api/v1${path}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    return { status: answer.status, text: await answer.text() }
  }
  const fingerprintsIn = (text: string) => [
    ...new Set([...text.matchAll(/"fingerprint":"([^"]+)"/g)].map(([, it]) => it)),
  ]
  let fingerprints: (string | undefined)[] = []
  await until(async () => {
    fingerprints = fingerprintsIn((await get('/contexts/catalog/differences')).text)
    const responses = await Promise.all(fingerprints.map((fingerprint) => get(`/differences/${fingerprint}`)))
    return responses.filter(({ text }) => text.includes('"request"')).length >= 8
  }, 30_000)
  const paths = ['/parity', '/contexts', '/contexts/catalog', '/contexts/catalog/differences', '/audit', '/status']
  const ofEach = fingerprints.flatMap((it) => [
    `/differences/${it}`,
    `/differences/${it}/export?as=curl`,
    `/differences/${it}/export?as=vitest`,
  ])
  const answers = await Promise.all([...paths, ...ofEach].map(get))
  expect(answers.filter(({ text }) => text.includes('curl')).length, 'exports are looked at').toBeGreaterThan(0)
  return answers.map(({ text }) => text)
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(files.map(async (file) => `${file}\n${await readFile(file, 'latin1')}`))
}

const READ: Readonly<Record<string, readonly string[]>> = {
  string: ['GET', ''],
  hash: ['HGETALL', ''],
  list: ['LRANGE', '', '0', '-1'],
  set: ['SMEMBERS', ''],
  zset: ['ZRANGE', '', '0', '-1', 'WITHSCORES'],
  stream: ['XRANGE', '', '-', '+'],
}

async function everythingIn(redis: RedisProcess): Promise<string[]> {
  const keys = (await redis.cli('--scan')).split('\n').filter((key) => key !== '')
  return Promise.all(
    keys.map(async (key) => {
      const read = READ[await redis.cli('TYPE', key)]
      if (read === undefined) throw new Error(`a kind of value that is not read: ${key}`)
      return `${key}\n${await redis.cli(...read.map((word) => (word === '' ? key : word)))}`
    }),
  )
}

/** Plain, URL-encoded, JSON-encoded, and in base64 at each alignment. */
function formsOf(secret: string): string[] {
  const inBase64 = ['', 'a', 'ab'].flatMap((prefix, i) => {
    const text = Buffer.from(prefix + secret)
      .toString('base64')
      .replaceAll('=', '')
    const whole = text.slice(i === 0 ? 0 : i + 1, -2)
    return [whole, whole.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const forms = [secret, encodeURIComponent(secret), encodeURI(secret), secret.replaceAll(' ', '+'), ...inBase64]
  return [...new Set(forms)].filter((form) => form.length >= 12)
}

function expectNoSecret(where: string, texts: readonly string[]): void {
  const leaks = Object.entries(SECRETS).flatMap(([name, secret]) =>
    texts.flatMap((text) =>
      formsOf(secret)
        .filter((form) => text.includes(form))
        .map(
          (form) => `${where}: ${name}: …${text.slice(Math.max(0, text.indexOf(form) - 80), text.indexOf(form) + 40)}`,
        ),
    ),
  )
  expect(leaks).toEqual([])
}

async function expectNoSecretOf(gateway: GatewayProcess): Promise<void> {
  expectNoSecret('the admin API', await apiOf(gateway))
  expectNoSecret('the metrics', [await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text()])
  gateway.signal('SIGTERM')
  await gateway.exited
  expectNoSecret('the application log', [gateway.log()])
  const accessLog = await readFile(join(gateway.folder, 'access.log'), 'utf8')
  expect(accessLog).toContain('/products/')
  expectNoSecret('the access log', [accessLog])
  const state = await filesBelow(join(gateway.folder, 'state'))
  expect(state.length).toBeGreaterThan(0)
  expectNoSecret('the state', state)
}

describe('planted secrets are not found anywhere', () => {
  test('with the state in a folder', async () => {
    const gateway = await startGateway()
    await askOften(gateway)
    await expectNoSecretOf(gateway)
    const state = (await filesBelow(join(gateway.folder, 'state'))).join('\n')
    expect(state, 'examples are there').toContain('$.price')
  })

  test('with the state in Redis', async () => {
    const redis = await startRedis()
    const gateway = await startGateway({ REDIS_URL: redis.url })
    await askOften(gateway)
    await expectNoSecretOf(gateway)
    const everything = await everythingIn(redis)
    expect(everything.join('\n'), 'examples are there').toContain('$.price')
    expectNoSecret('Redis', everything)
  })
})

test('the search finds planted secrets in each encoding', () => {
  for (const secret of Object.values(SECRETS)) {
    const around = (text: string) => `{"before":"${text}"}`
    const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]
    const encodings = ['x', 'xy', 'xyz'].map((prefix) => Buffer.from(`${prefix}${secret}after`).toString('base64'))
    for (const form of [...forms, ...encodings]) expect(() => expectNoSecret('here', [around(form)])).toThrow()
  }
})
