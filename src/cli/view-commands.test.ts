// The commands that only read: status, fleet, history, watch and explain, as text and as JSON.
import { mkdir, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { until } from '../../test/kit/until.ts'
import type { AuditRecord, ChainReport } from '../admin/contract/audit.ts'
import type { ChangeEvent } from '../admin/contract/change-event.ts'
import type { ContextResponse } from '../admin/contract/contexts.ts'
import type { Explanation } from '../admin/contract/explanation.ts'
import type { MemberResponse } from '../admin/contract/fleet-response.ts'
import type { StatusResponse } from '../admin/contract/status.ts'
import { EMPTY_STATUS, emptyFolder, problem, startApi, startCommand, strangler } from './client/admin-api.test-kit.ts'

const AT = Date.UTC(2026, 2, 1, 14, 2, 3)
const STAMP = { by: 'ada', reason: 'prices are wrong', at: AT }

const CATALOG: ContextResponse = {
  name: 'catalog',
  owner: 'team-catalog',
  flag: 'migrate-catalog',
  service: 'catalog',
  percentage: 25,
  why: null,
  serving: 'split',
  pin: null,
  freeze: null,
  flip: null,
  shadow: null,
  generation: 7,
  rollback: 'allowed',
  lastMinute: { legacy: 75, service: 25 },
}

const GATEWAY: MemberResponse = {
  id: 'gw-1',
  version: '0.1.0',
  address: 'http://10.0.0.7:8081',
  startedAt: AT,
  applied: 7,
  percentages: { catalog: 25 },
  flags: { source: 'file', stale: false, ageMs: 300 },
  localKill: [],
  inFlight: {},
  lastMinute: {},
  silentMs: 200,
  isConverged: true,
}

async function statusOf(more: Partial<StatusResponse>): Promise<string> {
  const api = await startApi({ json: { ...EMPTY_STATUS, ...more } })
  const { code, stdout, stderr } = await strangler(['status'], { api })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

describe('status', () => {
  it('prints facts and an aligned table of contexts', async () => {
    const orders: ContextResponse = {
      ...CATALOG,
      name: 'orders',
      owner: 'o',
      percentage: null,
      why: 'two strategies',
      serving: 'legacy',
      pin: { ...STAMP, side: 'legacy', until: null },
      freeze: STAMP,
    }
    const stdout = await statusOf({ contexts: [CATALOG, orders], fleet: { generation: 7, members: [GATEWAY] } })
    const lines = stdout.split('\n')
    expect(lines[0]).toMatch(/^gateway {4}http:\/\/127\.0\.0\.1:\d+, generation 7$/)
    expect(lines.slice(1, 6)).toEqual([
      'kill       off',
      'store      file at /srv/.strangler',
      'flags      2 flags of the file at flags.json, 300 ms old',
      'fleet      1 of 1 gateway converged',
      '',
    ])
    expect(lines.slice(6)).toEqual([
      'context  owner         percent  serving  pin                        freeze                                            legacy/min  service/min',
      'catalog  team-catalog  25 %     split    -                          -                                                 75          25',
      'orders   o             ?        legacy   legacy without end by ada  since 2026-03-01 14:02 by ada (prices are wrong)  75          25',
      'orders: its flag two strategies',
      '',
    ])
  })

  it('has a column for shadow percentages if an operator has set one', async () => {
    const orders: ContextResponse = { ...CATALOG, name: 'orders', shadow: { ...STAMP, percentage: 10 } }
    const lines = (await statusOf({ contexts: [CATALOG, orders] })).split('\n').slice(6, 9)
    expect(lines).toEqual([
      'context  owner         percent  serving  pin  freeze  shadow       legacy/min  service/min',
      'catalog  team-catalog  25 %     split    -    -       -            75          25',
      'orders   team-catalog  25 %     split    -    -       10 % by ada  75          25',
    ])
  })

  it.each<[string, Partial<StatusResponse>, RegExp]>([
    [
      'the kill switch',
      { kill: STAMP },
      /^kill +ON: everything goes to legacy, since .* by ada \(prices are wrong\); strangler revive/m,
    ],
    ['a kill file', { localKill: ['*'] }, /^kill file +sends everything to legacy on this gateway/m],
    [
      'a store that is gone',
      { store: { kind: 'redis', location: 'redis://r', isConnected: false, cutOffMs: 12_000, trouble: 'refused' } },
      /^store +redis at redis:\/\/r, CUT OFF for 12 s: refused$/m,
    ],
    [
      'a state folder that cannot be written',
      {
        stateFolder: {
          location: '/srv/.strangler',
          isWritable: false,
          trouble: 'ENOSPC: no space left on device, write',
          since: STAMP.at,
        },
      },
      /^folder +\/srv\/.strangler cannot be written since .*14:02: ENOSPC: no space left on device, write; free space there/m,
    ],
    [
      'a state folder that others can write',
      {
        stateFolder: { location: '/srv/.strangler', isWritable: true, trouble: null, since: null, openMode: '0777' },
      },
      /^folder +other users can write to \/srv\/.strangler \(mode 0777\): run chmod 700 \/srv\/.strangler there$/m,
    ],
    [
      'a state folder that was not kept',
      { store: { ...EMPTY_STATUS.store, folderLost: { at: AT, generation: 7 } } },
      /^state +folder was EMPTY at the start, .*14:02.*, though this gateway has run before: keep it in a volume$/m,
    ],
    [
      'flags that were never read',
      { flags: { ...EMPTY_STATUS.flags, stale: true, ageMs: null, trouble: 'no such file' } },
      /^flags +STALE, as they were never read: no such file/m,
    ],
    [
      'a map on disk that was rejected',
      {
        rejectedFiles: [
          { file: 'map', path: 'routes.config.ts', since: AT, mistake: 'contexts.orders.flag: is empty' },
        ],
      },
      /^map +routes\.config\.ts rejected since 2026-03-01 14:02: contexts\.orders\.flag: is empty; the last good content stays in force$/m,
    ],
    [
      'a flags file on disk that was rejected, once',
      {
        rejectedFiles: [{ file: 'flags', path: 'flags.json', since: AT, mistake: 'is not JSON' }],
        flags: { ...EMPTY_STATUS.flags, trouble: 'flags.json: is not JSON' },
      },
      /^flags +2 flags of the file at flags\.json, 300 ms old\n(.*\n)?flags file +flags\.json rejected since 2026-03-01 14:02: is not JSON; the last/m,
    ],
    [
      'a token that Unleash refuses',
      { flags: { ...EMPTY_STATUS.flags, source: 'unleash', ageMs: 65_000, trouble: '401', isRefused: true } },
      /^flags +2 flags of Unleash at .*, 1 min old, and Unleash REJECTS the token: replace it: 401$/m,
    ],
    [
      'a gateway that lags',
      {
        fleet: { generation: 7, members: [GATEWAY, { ...GATEWAY, id: 'gw-2', isConverged: false, silentMs: 12_000 }] },
      },
      /^fleet +1 of 2 gateways converged; not gw-2 \(silent for 12 s\)$/m,
    ],
    [
      'a gateway that was cut off from Unleash',
      {
        fleet: {
          generation: 7,
          members: [GATEWAY, { ...GATEWAY, id: 'gw-2', isConverged: false, lag: 'still at 94 % instead of 10 %' }],
        },
      },
      /^fleet +1 of 2 gateways converged; not gw-2 \(still at 94 % instead of 10 %\)$/m,
    ],
  ])('prints above the table %s', async (_what, more, line) => {
    expect(await statusOf(more)).toMatch(line)
  })

  it('prints the unchanged response with --json', async () => {
    const api = await startApi({ json: { ...EMPTY_STATUS, later: 1 } })
    const { stdout } = await strangler(['status', '--json'], { api })
    expect(JSON.parse(stdout)).toEqual({ ...EMPTY_STATUS, later: 1 })
    expect(api.requests[0]).toMatchObject({ method: 'GET', path: '/status' })
  })
})

describe('fleet', () => {
  it('lists the applied generations, and exits 3 until all gateways have converged', async () => {
    const late = { ...GATEWAY, id: 'gw-2', applied: 6, isConverged: false }
    const api = await startApi(
      { json: { generation: 7, members: [GATEWAY, late] } },
      { json: { generation: 7, members: [GATEWAY] } },
    )
    const lagging = await strangler(['fleet'], { api })
    expect(lagging.code).toBe(3)
    expect(lagging.stdout).toMatch(
      /^gw-1 +http:\/\/10\.0\.0\.7:8081 +0\.1\.0 +2026-03-01 14:02 +7 of 7 +file, 300 ms old +converged$/m,
    )
    expect(lagging.stdout).toMatch(/^gw-2 .*6 of 7 .*at generation 6 of 7$/m)
    expect((await strangler(['fleet'], { api })).code).toBe(0)
  })
})

function record(more: Partial<AuditRecord>): AuditRecord {
  const base = {
    at: AT,
    actor: 'ada',
    address: '10.0.0.1',
    verb: 'flip',
    context: 'catalog',
    before: 10,
    after: 25,
  } as const
  return {
    position: '1',
    ...base,
    reason: 'week two',
    until: null,
    result: 'done',
    detail: null,
    generation: 8,
    gateway: 'gw-1',
    ...more,
  }
}

const VERIFIED: ChainReport = {
  verified: 12,
  unchained: 0,
  unchainedAfterStart: 0,
  branches: 0,
  head: 'a'.repeat(64),
  startsAfter: null,
  broken: null,
}

const PRICE = { fingerprint: 'f1', route: 'GET /products', field: 'value $.price' }

describe('history', () => {
  it('prints who changed what and why, newest first', async () => {
    const records = [record({ verb: 'pin', result: 'refused', detail: 'it is frozen', reason: null }), record({})]
    const api = await startApi({ json: { records, next: null, dropped: 3 } })
    const { code, stdout } = await strangler(['history', 'catalog', '--limit', '2'], { api })
    expect(code).toBe(0)
    expect(api.requests[0]?.path).toBe('/audit?context=catalog&limit=2')
    const lines = stdout.split('\n')
    expect(lines[1]).toMatch(/^2026-03-01 14:02:03 {2}pin +catalog +ada \(10\.0\.0\.1\) +refused +it is frozen$/)
    expect(lines[2]).toMatch(/^2026-03-01 14:02:03 {2}flip +catalog +10 % → 25 % +ada \(10\.0\.0\.1\) +done +week two$/)
    expect(lines[3]).toBe('3 older records were removed: the log has a limit')
  })

  it.each<[string, Partial<AuditRecord>]>([
    [
      '40 % → legacy',
      { verb: 'rollback', before: { pin: null, percentage: 40 }, after: { pin: 'legacy', percentage: 0 } },
    ],
    [
      'service → legacy',
      {
        verb: 'rollback',
        before: { pin: { side: 'service', until: null }, percentage: 40 },
        after: { pin: 'legacy', percentage: 0 },
      },
    ],
    [
      'generation 0 → generation 7',
      { verb: 'restore', before: { generation: 0 }, after: { generation: 7, entries: 3 } },
    ],
    ['0 % → 30 %', { verb: 'outside', before: 0, after: 30 }],
    ['-', { verb: 'outside', before: null, after: null }],
    ['legacy → -', { verb: 'unpin', before: { side: 'legacy', until: null }, after: null }],
    ['as configured → 10 %', { verb: 'shadow', before: null, after: 10 }],
    ['10 % → as configured', { verb: 'shadow', before: 10, after: null }],
    [
      'value $.price of GET /products: - → noise',
      { verb: 'rule', before: { ...PRICE, ruling: null }, after: { ...PRICE, ruling: 'noise' } },
    ],
    [
      'value $.price of GET /products: real → -',
      { verb: 'rule', before: { ...PRICE, ruling: 'real' }, after: { ...PRICE, ruling: null } },
    ],
    [
      'value $.price of GET /products: - → resolved',
      { verb: 'resolve', before: { ...PRICE, resolvedAt: null }, after: { ...PRICE, resolvedAt: AT } },
    ],
    ['thawed → frozen', { verb: 'freeze', before: 'thawed', after: 'frozen' }],
  ])('prints the change %s', async (change, facts) => {
    const api = await startApi({ json: { records: [record(facts)], next: null, dropped: 0 } })
    const { stdout } = await strangler(['history'], { api })
    expect(stdout.split('\n')[1]).toContain(`  catalog  ${change}  `)
  })

  it('exports the whole log as JSON Lines, page by page', async () => {
    const api = await startApi(
      {
        json: {
          records: [record({ position: '3' }), record({ position: '2', reason: 'a\u009bb' })],
          next: '2',
          dropped: 1,
        },
      },
      { json: { records: [record({ position: '1' })], next: null, dropped: 1 } },
    )
    const { code, stdout, stderr } = await strangler(['history', '--all', '--json'], { api })
    expect(code).toBe(0)
    expect(stderr).toBe('strangler history: 1 older record was removed: the log has a limit\n')
    const lines = stdout.trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as AuditRecord).position)).toEqual(['3', '2', '1'])
    expect(stdout).not.toContain('\u009b')
    expect(api.requests.map(({ path }) => path)).toEqual(['/audit?limit=200', '/audit?limit=200&cursor=2'])
  })

  it('does not claim that the log cannot be edited', async () => {
    const { stdout } = await strangler(['history', '--help'])
    expect(stdout).not.toContain('cannot be edited')
    expect(stdout).toContain('strangler history --verify')
  })

  it('--verify prints the number of verified entries and the hash of the newest one', async () => {
    const api = await startApi({ json: VERIFIED })
    const { code, stdout } = await strangler(['history', '--verify'], { api })
    expect({ code, stdout }).toEqual({ code: 0, stdout: `12 entries verified, 0 unchained, head ${'a'.repeat(64)}\n` })
    expect(api.requests[0]?.path).toBe('/audit/verification')
  })

  it('--verify of a log of the previous version exits 0 with a note', async () => {
    const api = await startApi({ json: { ...VERIFIED, verified: 0, unchained: 3, head: null } })
    const { code, stdout } = await strangler(['history', '--verify'], { api })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^0 entries verified, 3 unchained, head -\nnote: unchained entries have no hash/)
  })

  it('--verify notes a trimmed log, late unchained entries and branches', async () => {
    const api = await startApi({
      json: { ...VERIFIED, unchained: 2, unchainedAfterStart: 1, branches: 1, startsAfter: 'b'.repeat(64) },
    })
    const { code, stdout } = await strangler(['history', '--verify'], { api })
    expect(code).toBe(0)
    expect(stdout).toContain('note: 1 of them newer than the chain')
    expect(stdout).toContain(`note: the chain begins after ${'b'.repeat(64)}`)
    expect(stdout).toContain('note: 1 branch: ')
  })

  it.each([
    ['edited', 'was edited'],
    ['missing', 'follows an entry that is not in the log'],
    ['reordered', 'comes before the entry that it follows'],
    ['repeated', 'is in the log twice'],
  ])('--verify exits 1 and names the position of an entry that is %s', async (fault, words) => {
    const api = await startApi({ json: { ...VERIFIED, broken: { position: '0000000000000077', at: AT, fault } } })
    const { code, stdout } = await strangler(['history', '--verify'], { api })
    expect(code).toBe(1)
    expect(stdout).toContain(`the entry at position 0000000000000077 (2026-03-01 14:02:03) ${words}`)
    expect((await strangler(['history', '--verify', '--json'], { api })).code).toBe(1)
  })

  it('--verify takes no context', async () => {
    const { code, stderr } = await strangler(['history', 'catalog', '--verify'])
    expect(code).toBe(2)
    expect(stderr).toContain('--verify checks the whole log')
  })

  it('of an unknown context is an error, and not an empty log', async () => {
    const api = await startApi(
      { json: { records: [], next: null, dropped: 0 } },
      problem('unknown-context', { known: ['catalog'] }),
    )
    const { code, stdout, stderr } = await strangler(['history', 'catlog'], { api })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('did you mean "catalog"?')
  })
})

function stateAt(generation: number, more: Partial<ChangeEvent> = {}): ChangeEvent {
  return { generation, kill: null, contexts: [], changed: null, ...more }
}

function sent(event: ChangeEvent): string {
  return `id: ${event.generation}\nevent: change\ndata: ${JSON.stringify(event)}\n\n`
}

const FLIPPED = stateAt(8, {
  contexts: [
    {
      name: 'catalog',
      pin: null,
      freeze: null,
      shadow: null,
      generation: 8,
      flip: { ...STAMP, flag: 'f', percentage: 25, generation: 8 },
    },
  ],
  changed: { ...STAMP, context: 'catalog', verb: 'flip' },
})
const KILLED = { ...FLIPPED, generation: 9, kill: STAMP, changed: null }

describe('watch', () => {
  it('prints each change, and after a lost connection the changes that it missed', async () => {
    const streams: ServerResponse[] = []
    const api = await startApi((stream) => {
      streams.push(stream)
      stream.write(`: hello\n\n${sent(streams.length === 1 ? stateAt(7) : KILLED)}`)
    })
    const watching = await startCommand(['watch'], api)
    await until(() => watching.lines().length === 1)
    expect(watching.lines()[0]).toMatch(/^following http:\/\/127\.0\.0\.1:\d+ from generation 7; stop with Ctrl-C$/)
    const text = sent(FLIPPED)
    streams[0]?.write(text.slice(0, 40))
    streams[0]?.write(text.slice(40))
    await until(() => watching.lines().length === 2)
    expect(watching.lines()[1]).toBe('2026-03-01 14:02:03  catalog: → 25 %, by ada: prices are wrong')
    streams[0]?.destroy()
    await until(() => watching.lines().length === 3)
    expect(watching.lines()[2]).toBe(
      '2026-03-01 14:02:03  everything: KILLED: all goes to legacy, by ada: prices are wrong',
    )
    expect(watching.stderr()).toMatch(/trying again/)
    watching.interrupt()
    expect(await watching.exited).toBe(0)
  })

  it('prints one line of JSON for each event, and no event twice', async () => {
    const streams: ServerResponse[] = []
    const api = await startApi((stream) => {
      streams.push(stream)
      stream.write(sent(stateAt(7)))
      if (streams.length === 2) stream.write(sent(FLIPPED))
    })
    const watching = await startCommand(['watch', '--json'], api)
    await until(() => watching.lines().length === 1)
    streams[0]?.end()
    await until(() => watching.lines().length === 2)
    expect(watching.lines().map((line) => JSON.parse(line) as unknown)).toEqual([stateAt(7), FLIPPED])
  })

  it('ends if a retry cannot help', async () => {
    const refused = await startApi(problem('invalid-token'))
    expect((await strangler(['watch'], { api: refused })).code).toBe(1)
    const noStream = await startApi({ json: {} })
    const { code, stderr } = await strangler(['watch'], { api: noStream })
    expect(code).toBe(5)
    expect(stderr).toMatch(/sends no stream of changes/)
  })
})

const EXPLAINED: Explanation = {
  kind: 'decided',
  request: 'GET /products',
  path: '/products',
  route: '/products/*',
  identity: { kind: 'none', key: '', clientAddress: '127.0.0.1', secure: false, requestId: '', isNew: false },
  side: 'legacy',
  reason: 'unowned',
  because: 'no context owns it',
  url: 'http://127.0.0.1:3000/products',
  fallback: false,
}

const MAP = JSON.stringify({ legacy: { url: 'http://127.0.0.1:3000' }, contexts: {} })

async function folderOfAShop(): Promise<string> {
  const cwd = await emptyFolder()
  await writeFile(join(cwd, 'routes.config.json'), MAP)
  await writeFile(join(cwd, 'flags.json'), '{"version":2,"features":[]}')
  await mkdir(join(cwd, '.strangler'))
  await writeFile(join(cwd, '.strangler/admin-token'), 'found-token')
  return cwd
}

describe('explain', () => {
  const ASK = ['explain', 'get', '/products', '--user', '7']

  it('calls the named gateway, and names it in the output', async () => {
    const api = await startApi({ json: EXPLAINED })
    const { code, stdout, stderr } = await strangler(ASK, { api })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`\n  from      the gateway at ${api.url}\n`)
    expect(api.requests[0]?.path).toBe('/explain?method=GET&target=%2Fproducts&host=localhost&address=127.0.0.1&user=7')
    expect(JSON.parse((await strangler([...ASK, '--json'], { api })).stdout)).toEqual(EXPLAINED)
  })

  it('does not fall back to the config if the named gateway refuses', async () => {
    const api = await startApi(problem('invalid-token'))
    expect(await strangler(ASK, { api, cwd: await folderOfAShop() })).toMatchObject({ code: 1, stdout: '' })
  })

  it('calls the gateway of this machine, and reads the config if there is no answer', async () => {
    const api = await startApi({ json: EXPLAINED })
    const env = { STRANGLER_ADMIN_PORT: new URL(api.url).port, STRANGLER_CONFIG: 'routes.config.json' }
    const cwd = await folderOfAShop()
    expect((await strangler(ASK, { env, cwd })).stdout).toContain(`from      the gateway at ${api.url}`)
    expect((await strangler([...ASK, '--json'], { env, cwd })).stderr).toBe(
      `strangler explain: from the gateway at ${api.url}\n`,
    )
    expect((await strangler([...ASK, '--offline'], { env, cwd })).stdout).toMatch(/from +the config and the flags here/)
    await api.close()
    const alone = await strangler(ASK, { env, cwd })
    expect(alone.code).toBe(0)
    expect(alone.stdout).toMatch(/from +the config and the flags here; .* \(nothing listens on/)
  })

  it('refuses --offline together with --url', async () => {
    const { code, stderr } = await strangler([...ASK, '--offline', '--url', 'http://127.0.0.1:1'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/--offline and --url exclude each other/)
  })
})
