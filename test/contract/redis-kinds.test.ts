// Redis as it is operated in production: with passwords and TLS, watched by Sentinels, and as a Cluster.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import { EMPTY_STATE, type SharedState } from '../../src/model/shared-state.ts'
import type { StateStore } from '../../src/model/state-store.ts'
import type { Store } from '../../src/model/store.ts'
import { routeCounts, storedExample } from '../../src/store/comparisons.test-kit.ts'
import { RedisStore, type RedisStoreOptions } from '../../src/store/redis/redis-store.ts'
import { createAuthority } from '../kit/certificates.ts'
import { whenOver } from '../kit/lifetime.ts'
import { freePort } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { type RedisProcess, startRedis } from '../kit/redis.ts'
import { shop } from '../kit/shop.ts'
import { until } from '../kit/until.ts'
import { entryOf, flipped, reportOf } from './changes.ts'
import { newFolder, started } from './places.ts'

describe('a Redis with a password', () => {
  it('accepts a store that has it, and its refusal of another one is reported without the password', async () => {
    const redis = await startRedis({ args: ['--requirepass', 's3cr3t@/'], cliArgs: ['-a', 's3cr3t@/'] })
    const store = await open(`redis://:${encodeURIComponent('s3cr3t@/')}@127.0.0.1:${redis.port}/3`)
    const state = await change(store)
    expect(await redis.cli('-n', '3', 'HGET', '{strangler}:state', 'generation')).toBe('1')

    const wrong = await open(`redis://:another-s3cr3t@127.0.0.1:${redis.port}/3`, { limitMs: 300 })
    const none = await open(`redis://127.0.0.1:${redis.port}/3`, { limitMs: 300 })
    for (const other of [wrong, none]) {
      expect(other.status()).toMatchObject({
        isConnected: false,
        trouble: expect.stringMatching(/ \((WRONGPASS|NOAUTH)\)$/),
      })
      const error: unknown = await other.read().catch((thrown: unknown) => thrown)
      expect(
        JSON.stringify({ ...other.status(), error, all: String(error), cause: (error as Error).cause ?? '' }),
      ).not.toContain('s3cr3t')
    }
    // The password is corrected in Redis, and the gateway continues without a restart.
    await redis.cli('CONFIG', 'SET', 'requirepass', 'another-s3cr3t')
    await until(() => wrong.status().isConnected)
    expect(wrong.current()).toEqual(state)
  })

  it.each([
    ['no password', 'redis://127.0.0.1', /requires a password: set it in REDIS_URL/],
    ['a wrong password', 'redis://:wrong@127.0.0.1', /rejects the user name or password: correct them in REDIS_URL/],
    ['an unknown user', 'redis://nobody:x@127.0.0.1', /rejects the user name or password: correct them in REDIS_URL/],
    [
      'a user without its keys',
      'redis://nokeys:pass@127.0.0.1',
      /Set with ACL SETUSER: ~\{strangler\}:\* &\{strangler\}:\* \+@all/,
    ],
    [
      'a user without its channel',
      'redis://nochannel:pass@127.0.0.1',
      /Set with ACL SETUSER: ~\{strangler\}:\* &\{strangler\}/,
    ],
    ['no password for a Cluster', 'redis+cluster://127.0.0.1', /requires a password: set it in REDIS_URL/],
    ['a wrong password for a Cluster', 'redis+cluster://:wrong@127.0.0.1', /rejects the user name or password/],
  ])(
    'is reported in exactly one line that names the setting to change, if a gateway has %s',
    async (_, url, line) => {
      const redis = await startRedis({ args: ['--requirepass', 'pass'], cliArgs: ['-a', 'pass'] })
      await redis.cli('ACL', 'SETUSER', 'nokeys', 'on', '>pass', '~{another}:*', '&*', '+@all')
      await redis.cli('ACL', 'SETUSER', 'nochannel', 'on', '>pass', '~{strangler}:*', '+@all')
      const gateway = await startGatewayProcess(shop({ legacy: 'http://127.0.0.1:1', service: 'http://127.0.0.1:2' }), {
        percentages: { 'migrate-catalog': 0 },
        env: { REDIS_URL: `${url}:${redis.port}`, STRANGLER_COOKIE_SECRET: 'x'.repeat(32) },
      })
      await until(() => line.test(gateway.log()))
      // The gateway reads its state every second: several reads have failed since.
      await until(async () => (await gateway.metric('strangler_store_cut_off_seconds')) > 4)
      const troubled = gateway
        .log()
        .split('\n')
        .filter((text) => /"level":"(warn|error)"/.test(text))
      expect(troubled.filter((text) => line.test(text))).toHaveLength(1)
      expect(troubled.length).toBeLessThanOrEqual(2)
      expect(gateway.log()).not.toMatch(/\n\s+at |\\n\s+at |ioredis/)
    },
    60_000,
  )

  it('accepts a user who has the rights to the keys of the gateway and no others', async () => {
    const redis = await startRedis()
    await redis.cli(
      'ACL',
      'SETUSER',
      'gateway',
      'on',
      '>pass',
      '~{fleet}:*',
      '&{fleet}:*',
      '+@all',
      '-@admin',
      '-@dangerous',
      '+info',
    )
    const store = await open(`redis://gateway:pass@127.0.0.1:${redis.port}`, { prefix: 'fleet' })
    await change(store)
    await store.sendHeartbeat(reportOf('gateway-1'))
    expect(await store.fleet()).toHaveLength(1)
    await checkComparisons(store, store)
    const stranger = await open(`redis://gateway:pass@127.0.0.1:${redis.port}`, { prefix: 'other' })
    expect(stranger.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('NOPERM') })
  })

  it('that rejects writes is reported with the reason, and used again when it accepts them', async () => {
    const redis = await startRedis()
    const store = await open(redis.url)
    const state = await change(store)
    await redis.cli('REPLICAOF', '127.0.0.1', String(await freePort()))
    await expect(store.sendHeartbeat(reportOf('gateway-1'))).rejects.toThrow('READONLY')
    await store.read()
    expect(store.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('refuses: READONLY') })
    expect(store.current()).toEqual(state)
    await redis.cli('REPLICAOF', 'NO', 'ONE')
    await until(() =>
      store.sendHeartbeat(reportOf('gateway-1')).then(
        () => true,
        () => false,
      ),
    )
    expect(store.status().isConnected).toBe(true)
  })
})

describe('a Redis with TLS', () => {
  it('is used if its certificate is valid, and reported otherwise', async () => {
    const authority = await createAuthority()
    const { cert, key } = await authority.sign('IP:127.0.0.1')
    const folder = await mkdtemp(join(tmpdir(), 'strangler-tls-'))
    whenOver(() => rm(folder, { recursive: true, force: true }))
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    }
    const port = await freePort()
    await startRedis({
      args: [
        ...['--tls-port', String(port), '--tls-auth-clients', 'no'],
        ...['--tls-cert-file', await file('cert', cert), '--tls-key-file', await file('key', key)],
        ...['--tls-ca-cert-file', await file('ca', authority.cert)],
      ],
    })
    const store = await open(`rediss://127.0.0.1:${port}`, { tls: { ca: authority.cert } })
    const other = await open(`rediss://127.0.0.1:${port}`, { tls: { ca: authority.cert } })
    const state = await change(store)
    await until(() => other.current().generation === 1)
    expect(other.current()).toEqual(state)

    const doubtful = await open(`rediss://127.0.0.1:${port}`, { limitMs: 300 })
    expect(doubtful.status()).toMatchObject({ isConnected: false, trouble: expect.stringMatching(/certificate/i) })
  })
})

describe('a Redis watched by a Sentinel', () => {
  it('is found by its name, and replaced by its replica when it ends', async () => {
    const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
    await until(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'))
    const folder = await newFolder()
    const configFile = join(folder, 'sentinel.conf')
    const config = [
      `sentinel monitor mymaster 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds mymaster 500',
      'sentinel failover-timeout mymaster 2000',
    ]
    await writeFile(configFile, `${config.join('\n')}\n`)
    const sentinel = await startRedis({ configFile, args: ['--sentinel'] })
    await until(async () => (await sentinel.cli('SENTINEL', 'replicas', 'mymaster')).includes(String(replica.port)))

    const store = await open(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`)
    const other = await open(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`)
    const first = await change(store)
    await until(() => other.current().generation === 1)
    await until(async () => (await replica.cli('HGET', '{strangler}:state', 'generation')) === '1')
    await master.kill()
    expect(store.current()).toEqual(first)
    await until(() => commits(store, flipped(first, 50)), 20_000)
    expect(await replica.cli('HGET', '{strangler}:state', 'generation')).toBe('2')
    await until(() => other.current().generation === 2)
  })
})

describe('a Sentinel that names another master during a query for the master', () => {
  it('is queried again, and the store continues', async () => {
    const redis = await startRedis()
    const sentinel = await startScriptedSentinel(redis.port)
    const store = await open(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`)
    const first = await change(store)
    await until(() => sentinel.listeners() === 2)
    sentinel.nameAnotherWhenAsked()
    await redis.restart()
    await until(() => commits(store, flipped(first, 50)))
    expect(sentinel.hasNamedAnother()).toBe(true)
  })
})

/** Answers every query with this port as the port of the master. */
async function startScriptedSentinel(masterPort: number) {
  const listeners = new Set<Socket>()
  let toName: 'nobody' | 'another' | 'named' = 'nobody'
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('close', () => listeners.delete(socket))
    socket.on('data', async (chunk) => {
      const commands = chunk
        .toString('latin1')
        .toLowerCase()
        .split(/^\*\d+\r\n/m)
      for (const command of commands.slice(1)) socket.write(await answerTo(command, socket))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  whenOver(() => server.close())

  async function answerTo(command: string, socket: Socket): Promise<string> {
    if (command.includes('hello')) return "-ERR unknown command 'HELLO'\r\n"
    if (command.includes('subscribe')) {
      listeners.add(socket)
      return `*3\r\n${bulk('subscribe')}${bulk('+switch-master')}:1\r\n`
    }
    if (command.includes('sentinels')) return '*0\r\n'
    if (!command.includes('get-master-addr-by-name')) return '+OK\r\n'
    if (toName === 'another') await nameAnother()
    return `*2\r\n${bulk('127.0.0.1')}${bulk(String(masterPort))}`
  }

  /** ioredis closes the connection of a Sentinel that has named another master. */
  async function nameAnother(): Promise<void> {
    toName = 'named'
    const news = `mymaster 127.0.0.1 ${masterPort} 127.0.0.1 ${masterPort}`
    for (const listener of listeners) listener.write(`*3\r\n${bulk('message')}${bulk('+switch-master')}${bulk(news)}`)
    await until(() => listeners.size === 0)
  }

  return {
    port: (server.address() as AddressInfo).port,
    listeners: () => listeners.size,
    nameAnotherWhenAsked: () => {
      toName = 'another'
    },
    hasNamedAnother: () => toName === 'named',
  }
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`
}

describe('a Redis Cluster', () => {
  it('stores all keys on one node, publishes messages on all nodes, and is used again when that node returns', async () => {
    const nodes = await startCluster()
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const url = `redis+cluster://${addresses[0]},${addresses[1]}`
    const [store, other] = [await open(url), await open(url)]
    expect(store.status()).toMatchObject({ isConnected: true, trouble: undefined })
    const first = await change(store)
    await until(() => other.current().generation === 1)
    await store.sendHeartbeat(reportOf('gateway-1', 1))
    expect(await other.fleet()).toHaveLength(1)
    await checkComparisons(store, other)

    const keys = await Promise.all(nodes.map((node) => node.cli('KEYS', '*')))
    const [owner, ...others] = nodes.toSorted(
      (a, b) => (keys[nodes.indexOf(b)] ?? '').length - (keys[nodes.indexOf(a)] ?? '').length,
    )
    expect(keys.filter((text) => text !== '')).toHaveLength(1)
    expect(others).toHaveLength(2)
    await owner?.kill()
    await until(() => !store.status().isConnected)
    expect(store.current()).toEqual(first)
    await owner?.restart()
    await until(() => store.status().isConnected, 15_000)
    expect(await store.read()).toEqual(first)
    await until(() => commits(store, flipped(first, 50)))
    await until(() => other.current().generation === 2)
  })
})

/** Starts three masters that share the slots. */
async function startCluster(): Promise<RedisProcess[]> {
  const nodes = await Promise.all([1, 2, 3].map(startNode))
  const slots = ['0 5460', '5461 10922', '10923 16383'].map((range) => range.split(' '))
  await Promise.all(
    nodes.map(async (node, index) => {
      await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
      await node.cli('CLUSTER', 'ADDSLOTSRANGE', ...(slots[index] ?? []))
      for (const { port } of nodes.slice(0, index)) await node.cli('CLUSTER', 'MEET', '127.0.0.1', String(port))
    }),
  )
  await until(async () => {
    const infos = await Promise.all(nodes.map((node) => node.cli('CLUSTER', 'INFO')))
    return infos.every((text) => text.includes('cluster_state:ok') && text.includes('cluster_known_nodes:3'))
  })
  return nodes
}

async function startNode(): Promise<RedisProcess> {
  // The port of the bus is higher by 10,000, which must still be a valid port.
  let port = await freePort()
  while (port > 55_000) port = await freePort()
  return startRedis({ port, args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'] })
}

async function open(url: string, options: Partial<RedisStoreOptions> = {}): Promise<Store> {
  return started(new RedisStore({ url, clock: systemClock, ...options }))
}

async function change(store: StateStore): Promise<SharedState> {
  const next = flipped(EMPTY_STATE, 25)
  expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  return next
}

/** Saves comparisons in one store and reads them in the other. */
async function checkComparisons(store: Store, other: Store): Promise<void> {
  const [counts, example] = [routeCounts(), storedExample()]
  await store.comparisons.saveCounts('gateway-1', [counts])
  await store.comparisons.saveExamples([example])
  expect(await other.comparisons.counts({ from: 0 })).toEqual([counts])
  expect(await other.comparisons.examples({})).toEqual([example])
}

function commits(store: StateStore, next: SharedState): Promise<boolean> {
  return store.commit(next, entryOf(next)).then(
    ({ ok }) => ok,
    () => false,
  )
}
