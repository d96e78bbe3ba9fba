// A percentage is a share of people, and every gateway selects the same people.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compile } from '../../src/config/load/compile.ts'
import { validate } from '../../src/config/schema/validate.ts'
import { createFlags } from '../../src/entry/create-flags.ts'
import { systemClock } from '../../src/entry/runtime.ts'
import type { Identity } from '../../src/model/decision.ts'
import { decide } from '../../src/proxy/policy/decide.ts'
import { readHead } from '../../src/proxy/policy/read-head.ts'
import { Refusal } from '../../src/proxy/policy/refusal.ts'
import { quietEvents } from '../../src/telemetry/quiet-events.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { shop } from '../kit/shop.ts'

const PEOPLE = 10_000

/** The decisions of one gateway for ten thousand people. */
async function decideForAll(flags: string, kind: Identity['kind']): Promise<boolean[]> {
  const validated = validate(shop({ legacy: 'http://127.0.0.1:1', service: 'http://127.0.0.1:2' }))
  if (!validated.ok) throw new Error('the config is not valid')
  const snapshot = compile(validated.config)
  const raw = {
    method: 'GET',
    target: '/products',
    majorVersion: 1,
    minorVersion: 1,
    rawHeaders: ['Host', 'shop.example'],
    peerAddress: '127.0.0.1',
    secure: false,
  } as const
  const head = readHead(raw, snapshot)
  if (head instanceof Refusal) throw new Error(head.detail)
  const match = snapshot.match('GET', head.host, head.path)
  const reader = createFlags({ unleash: undefined, flags, stateDir: '' }, quietEvents, systemClock)
  await reader.start()
  onTestFinished(() => reader.stop())
  const sources = { flags: reader, upstreams: { isAvailable: () => true } }
  return Array.from({ length: PEOPLE }, (_, id) => {
    const client = { clientAddress: '127.0.0.1', secure: false, requestId: '', isNew: false }
    const identity: Identity = { ...client, kind, key: `person-${id}` }
    return decide({ head, match }, identity, snapshot, sources).side === 'service'
  })
}

async function flagsAt(percent: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-split-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'flags.json')
  await writeFile(file, flagFile({ 'migrate-catalog': percent }))
  return file
}

describe('over ten thousand people', () => {
  it.each(['user', 'session', 'anonymous', 'address'] as const)(
    '10 %% selects 10 %% of them within 0.9 points, and two gateways agree on every person, by %s',
    async (kind) => {
      const flags = await flagsAt(10)
      const [firstGateway, secondGateway] = [await decideForAll(flags, kind), await decideForAll(flags, kind)]
      expect(secondGateway).toEqual(firstGateway)
      const share = firstGateway.filter(Boolean).length / PEOPLE
      expect(Math.abs(share - 0.1)).toBeLessThanOrEqual(0.009)
    },
  )

  it('a higher percentage moves nobody back to legacy', async () => {
    let previous = Array<boolean>(PEOPLE).fill(false)
    for (const percent of [1, 10, 11, 50, 99, 100]) {
      const now = await decideForAll(await flagsAt(percent), 'user')
      expect(previous.findIndex((wasOn, person) => wasOn && !now[person])).toBe(-1)
      expect(Math.abs(now.filter(Boolean).length / PEOPLE - percent / 100)).toBeLessThan(0.015)
      previous = now
    }
    expect(previous.every(Boolean)).toBe(true)
  })
})

describe('two gateways', () => {
  it('send each of three hundred sessions to the same side, which is the side of the decision', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const config = shop({ legacy: legacy.url, service: service.url })
    const options = { percentages: { 'migrate-catalog': 30 } }
    const gateways = [await startGateway(config, options), await startGateway(config, options)]
    const sides = await Promise.all(
      gateways.map(({ port }) =>
        Promise.all(
          Array.from({ length: 300 }, async (_, id) => {
            const answer = await sendRequest({ port, path: '/products', headers: { cookie: `sid=person-${id}` } })
            return answer.headers['x-side'] === 'service'
          }),
        ),
      ),
    )
    expect(sides[1]).toEqual(sides[0])
    expect(sides[0]).toEqual((await decideForAll(await flagsAt(30), 'session')).slice(0, 300))
  })
})
