import { beforeEach, expect, test } from 'vitest'
import { createEvents } from './create-events.ts'
import type { Events } from './events.ts'
import { quietReadings, requestFacts } from './facts.test-kit.ts'
import { createLog } from './log/log.ts'
import { Metrics } from './metrics/metrics.ts'

let now: number
let raw: string[]
let events: Events
let log: ReturnType<typeof createLog>

beforeEach(() => {
  now = 0
  raw = []
  const to = { write: (line: string) => void raw.push(line) }
  const metrics = new Metrics({ readings: () => quietReadings, linesLost: () => 0 })
  metrics.close()
  log = createLog(to, 'info', false)
  events = createEvents({ metrics, accessLog: undefined, log, clock: { now: () => now, wallTime: () => now } })
})

const lines = (): Record<string, unknown>[] => raw.map((line) => JSON.parse(line))

test('a missing flag is logged once, and again after flags were read', () => {
  const facts = requestFacts({ context: 'orders', decision: { side: 'legacy', reason: 'flag-missing' } })
  for (let i = 0; i < 3; i++) events.requestFinished(facts)
  events.upgradeOpened(facts)
  expect(lines()).toMatchObject([{ level: 'warn', flag: 'migrate-orders', context: 'orders' }])
  events.flagsRead({ source: 'flags.json', flags: 1 })
  events.requestFinished(facts)
  expect(lines()).toHaveLength(3)
})

test('a failed flag authority is logged once, and its recovery once', () => {
  const down = { source: 'https://unleash.example/', error: new Error('connect ECONNREFUSED') }
  for (let i = 0; i < 5; i++) events.flagsFailed(down)
  events.flagsRead({ source: down.source, flags: 2 })
  expect(lines()).toMatchObject([
    { level: 'warn', error: ['connect ECONNREFUSED'] },
    { level: 'info', msg: 'flags read again' },
  ])
})

test('a failed issuer is logged once, and its recovery once', () => {
  const uri = 'https://login.test/jwks.json'
  events.keysFailed({ uri, error: new Error('status 500') })
  events.keysFailed({ uri, error: new Error('status 500') })
  events.keysRead({ uri, keys: 2 })
  expect(lines()).toMatchObject([
    { level: 'warn', uri },
    { level: 'info', uri, keys: 2 },
  ])
})

test('another mistake in the flags is logged again', () => {
  events.flagsFailed({ source: 'flags.json', error: new Error('one') })
  events.flagsFailed({ source: 'flags.json', error: new Error('another') })
  expect(lines()).toHaveLength(2)
})

test('a bug that every request meets is logged once a second, with the number of suppressed lines', () => {
  for (let i = 0; i < 1000; i++) events.bug({ where: 'decide', error: new Error('oh') })
  now = 1500
  events.bug({ where: 'decide', error: new Error('oh') })
  expect(lines()).toMatchObject([{ level: 'error', where: 'decide' }, { unsaid: 999 }])
})

test('a rejected config is logged as an error, and an applied config as information', () => {
  events.configRejected({ file: 'routes.config.ts', mistakes: ['contexts.orders.flag: is empty'] })
  events.configApplied({ file: 'routes.config.ts', edition: 2, contexts: 1, routes: 3 })
  expect(lines().map(({ level }) => level)).toEqual(['error', 'info'])
})

test('credentials that are logged by accident are masked', () => {
  const headers = { authorization: 'Bearer SECRET', Cookie: 'sid=SECRET', 'set-cookie': 'SECRET', accept: '*/*' }
  log.info({ headers, token: 'SECRET', request: { headers } }, 'oops')
  expect(raw.join('')).not.toContain('SECRET')
  expect(raw.join('')).toContain('*/*')
})

test('control characters in an error are escaped in the log', () => {
  events.bug({ where: 'parse', error: new Error('bad header \x1b[2J\x9b1m\r\nforged') })
  expect(raw).toHaveLength(1)
  expect(raw[0]!.slice(0, -1)).not.toMatch(/\p{Cc}/u)
  lines()
})

test('the log names the file of the admin token, and never contains the token', () => {
  events.adminTokenCreated({ file: '/state/admin-token', isKept: true })
  events.adminTokenCreated({ file: '/state/admin-token', isKept: false })
  expect(lines()).toMatchObject([
    { level: 'info', msg: 'made a token for the admin API; it is in /state/admin-token' },
    { level: 'error', msg: expect.stringContaining('set STRANGLER_ADMIN_TOKEN') as string },
  ])
})
