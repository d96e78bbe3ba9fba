// The flag authority with a real Unleash: unleash-server with a PostgreSQL that the test kit starts.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FLAG_RULES, rolloutAt } from '../../src/control/flags/flag-rules.test-kit.ts'
import { realClock, recordedEvents } from '../../src/control/flags/flags.test-kit.ts'
import type { Flags } from '../../src/control/flags/flags.ts'
import { UnleashFlags } from '../../src/control/flags/unleash/unleash-flags.ts'
import { UnleashWriter } from '../../src/control/flags/unleash/unleash-writer.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { type ShownFlag, startUnleash } from '../kit/unleash.ts'
import { until } from '../kit/until.ts'

const unleash = sharedByFile(startUnleash)
const anna = { context: 'orders', by: 'anna', reason: 'the load test is done' }
const person = { userId: '7' }
const MINUTE_MS = 60_000

function writer(more: { project?: string; environment?: string; adminToken?: string; timeoutMs?: number } = {}) {
  const { apiUrl: url, adminToken } = unleash()
  return new UnleashWriter({ url, adminToken, project: 'default', environment: 'development', ...more })
}

/** The flags of a gateway, which polls once a minute if not configured otherwise. */
async function startFlags({ token = unleash().clientToken, refreshMs = MINUTE_MS, stateDir = '' } = {}) {
  const recorded = recordedEvents()
  const flags = new UnleashFlags({
    url: unleash().apiUrl,
    token,
    appName: 'strangler-gateway',
    instanceId: 'gateway-1',
    refreshMs,
    timeoutMs: 1000,
    stateDir: stateDir || (await newFolder()),
    events: recorded.events,
    clock: realClock,
  })
  onTestFinished(() => flags.stop())
  await flags.start()
  return flags
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'unleash-flags-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const percentageOf = (flags: Flags, flag: string) => flags.percentage(flag).percentage

describe('setting the percentage of a flag', () => {
  test.each(FLAG_RULES.filter(({ refused }) => refused === undefined))(
    'changes only the rollout of the flag $flag',
    async (rule) => {
      await unleash().createFlag(rule.flag, rule)
      const oldFlag = (await unleash().getFlag(rule.flag)) as ShownFlag
      expect(await writer().read(rule.flag)).toMatchObject({ percentage: rule.reads })
      expect(await writer().setPercentage(rule.flag, 75, anna)).toEqual({
        kind: 'written',
        before: rule.reads,
        after: 75,
        ...(oldFlag.enabled ? {} : { note: `flag "${rule.flag}" was switched off in Unleash, and is on now` }),
      })
      const newFlag = (await unleash().getFlag(rule.flag)) as ShownFlag
      if (oldFlag.strategies.length > 0)
        expect(newFlag).toEqual({ ...oldFlag, enabled: true, strategies: at75(oldFlag) })
      const { isForMatching: _, ...reading } = await writer().read(rule.flag)
      expect(reading).toEqual({ percentage: 75 })
    },
  )

  test.each(FLAG_RULES.filter(({ refused }) => refused !== undefined))(
    'is refused for the flag $flag, which is not changed',
    async (rule) => {
      await unleash().createFlag(rule.flag, rule)
      const oldFlag = await unleash().getFlag(rule.flag)
      expect((await writer().read(rule.flag)).percentage).toBe(rule.reads)
      expect(await writer().setPercentage(rule.flag, 75, anna)).toEqual({
        kind: 'refused',
        reason: expect.stringContaining(`flag "${rule.flag}" in the environment "development" `),
      })
      expect(await writer().setPercentage(rule.flag, 0, anna)).toMatchObject({
        reason: expect.stringContaining(rule.refused!),
      })
      expect(await unleash().getFlag(rule.flag)).toEqual(oldFlag)
    },
  )

  test('does not change its segments', async () => {
    const id = await unleash().createSegment('staff', ['7', '8'])
    await unleash().createFlag('with-a-segment', { strategies: [rolloutAt(10, { segments: [id] })] })
    const oldFlag = (await unleash().getFlag('with-a-segment')) as ShownFlag
    expect(oldFlag.strategies[0]?.segments).toEqual([id])
    await writer().setPercentage('with-a-segment', 75, anna)
    expect(await unleash().getFlag('with-a-segment')).toEqual({ ...oldFlag, strategies: at75(oldFlag) })
  })

  test('does not change other environments', async () => {
    await unleash().createFlag('elsewhere', { percentage: 10 })
    const inProduction = writer({ environment: 'production' })
    expect(await inProduction.setPercentage('elsewhere', 60, anna)).toMatchObject({ kind: 'written', after: 60 })
    expect(await writer().read('elsewhere')).toEqual({ percentage: 10 })
  })

  test('creates a missing flag with a description, and the flag decides requests', async () => {
    expect(await writer().read('brand-new')).toEqual({ percentage: null, why: 'is not in Unleash' })
    expect(await writer().setPercentage('brand-new', 100, anna)).toEqual({ kind: 'written', before: null, after: 100 })
    expect(await unleash().getFlag('brand-new')).toMatchObject({
      type: 'release',
      enabled: true,
      description: 'Moves the context "orders" from the monolith to its service. Made by anna.',
      strategies: [
        { name: 'flexibleRollout', parameters: { rollout: '100', stickiness: 'default', groupId: 'brand-new' } },
      ],
    })
    const flags = await startFlags({ refreshMs: 100 })
    await until(() => flags.evaluate('brand-new', person) === 'on')
  })

  test('to zero leaves a disabled flag disabled', async () => {
    await unleash().createFlag('resting', { percentage: 40, enabled: false })
    expect(await writer().setPercentage('resting', 0, anna)).toEqual({ kind: 'written', before: 0, after: 0 })
    expect(await unleash().getFlag('resting')).toMatchObject({
      enabled: false,
      strategies: [{ parameters: { rollout: '0' } }],
    })
  })

  test.each([
    [{ environment: 'staging' }, 'no environment "staging": set UNLEASH_ENVIRONMENT'],
    [{ project: 'nowhere' }, 'Unleash has no project "nowhere"'],
  ])('does not create a missing flag in %o', async (where, why) => {
    const result = await writer(where).setPercentage('not-made', 10, anna)
    expect(result).toEqual({ kind: 'refused', reason: expect.stringContaining(why) })
    expect(await unleash().getFlag('not-made')).toBeUndefined()
  })

  test('is refused for an environment that does not exist, with its name', async () => {
    await unleash().createFlag('here', { percentage: 10 })
    expect(await writer({ environment: 'staging' }).setPercentage('here', 20, anna)).toMatchObject({ kind: 'refused' })
    expect((await writer({ environment: 'staging' }).read('here')).why).toContain('no environment "staging"')
  })

  test('is refused for the name of an archived flag', async () => {
    await unleash().createFlag('of-old')
    await unleash().admin('DELETE', '/api/admin/projects/default/features/of-old')
    const result = await writer().setPercentage('of-old', 10, anna)
    expect(result).toEqual({ kind: 'refused', reason: expect.stringContaining('its name is taken') })
  })

  test('is refused for a name that Unleash rejects', async () => {
    const result = await writer().setPercentage('two words', 10, anna)
    expect(result).toEqual({
      kind: 'refused',
      reason: expect.stringContaining('Unleash rejects flag "two words"'),
    })
  })

  test('fails with an unknown token or a token without the right, and the reason does not contain the token', async () => {
    for (const [adminToken, status] of [
      ['*:*.unknown', '401'],
      [unleash().clientToken, '403'],
    ] as const) {
      const result = await writer({ adminToken }).setPercentage('here', 20, anna)
      expect(result).toEqual({ kind: 'failed', reason: expect.stringContaining(status) })
      expect(JSON.stringify(result)).not.toContain(adminToken)
    }
  })

  test('twice at the same time reports the resulting percentage to at least one caller', async () => {
    await unleash().createFlag('contested', { percentage: 10 })
    const results = await Promise.all(
      [20, 30].map((percentage) => writer().setPercentage('contested', percentage, anna)),
    )
    const { percentage } = await writer().read('contested')
    expect(results.map((result) => result.kind === 'written' && result.after)).toContain(percentage)
  })
})

describe('a change of a flag arrives at the gateway', () => {
  test('with a poll, if it was made in the pages of Unleash', async () => {
    await unleash().createFlag('polled', { percentage: 0 })
    const flags = await startFlags({ refreshMs: 100 })
    await until(() => flags.evaluate('polled', person) === 'off')
    await unleash().setRollout('polled', 100)
    await until(() => flags.evaluate('polled', person) === 'on')
    await unleash().setEnabled('polled', false)
    await until(() => flags.evaluate('polled', person) === 'off')
    expect(flags.percentage('polled')).toEqual({ percentage: 0, why: 'is switched off' })
    await unleash().deleteFlag('polled')
    await until(() => flags.evaluate('polled', person) === 'missing')
  })

  test('at once, if the gateway refreshes that flag', async () => {
    await unleash().createFlag('flipped', { percentage: 0 })
    const flags = await startFlags()
    for (const percentage of [100, 0, 100, 50, 0]) {
      await writer().setPercentage('flipped', percentage, anna)
      await flags.refresh(['flipped'])
      expect(percentageOf(flags, 'flipped')).toBe(percentage)
    }
    expect(flags.evaluate('flipped', person)).toBe('off')
  })

  test('at once, if the change has created the flag', async () => {
    const flags = await startFlags()
    await writer().setPercentage('just-made', 100, anna)
    await flags.refresh(['just-made', 'a-flag-that-is-nowhere'])
    expect(flags.evaluate('just-made', person)).toBe('on')
    expect(flags.evaluate('a-flag-that-is-nowhere', person)).toBe('missing')
    expect(flags.status().trouble).toBeUndefined()
  })

  test('within two seconds, if the gateway refreshes all flags', async () => {
    await unleash().createFlag('refreshed', { percentage: 0 })
    const flags = await startFlags()
    await unleash().setRollout('refreshed', 100)
    await flags.refresh()
    await until(() => flags.evaluate('refreshed', person) === 'on')
  })
})

describe('the flags of a gateway fail static', () => {
  test('while Unleash is stopped: the last flags stay, a change fails, and both work again after its start', async () => {
    await unleash().createFlag('held', { percentage: 100 })
    const stateDir = await newFolder()
    const flags = await startFlags({ refreshMs: 200, stateDir })
    await until(() => flags.evaluate('held', person) === 'on')
    await unleash().kill()
    await flags.refresh(['held'])
    expect(flags.status().trouble).toContain('ECONNREFUSED')
    expect(flags.evaluate('held', person)).toBe('on')
    expect(await writer().setPercentage('held', 0, anna)).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('cannot be reached'),
    })
    const restarted = await startFlags({ stateDir })
    expect(restarted.evaluate('held', person)).toBe('on')
    await unleash().restart()
    expect(await writer().setPercentage('held', 0, anna)).toEqual({ kind: 'written', before: 100, after: 0 })
    for (const gateway of [flags, restarted]) await gateway.refresh(['held'])
    expect(percentageOf(flags, 'held')).toBe(0)
    expect(percentageOf(restarted, 'held')).toBe(0)
    await until(() => flags.status().trouble === undefined)
  })

  test('while Unleash is frozen: a change fails within its limit, and works again afterwards', async () => {
    await unleash().createFlag('cold', { percentage: 100 })
    const flags = await startFlags({ refreshMs: 200 })
    await until(() => flags.evaluate('cold', person) === 'on')
    unleash().freeze()
    const result = await writer({ timeoutMs: 300 }).setPercentage('cold', 0, anna)
    expect(result).toEqual({ kind: 'failed', reason: expect.stringContaining('did not answer within 300 ms') })
    expect(flags.evaluate('cold', person)).toBe('on')
    unleash().thaw()
    expect(await writer().setPercentage('cold', 0, anna)).toMatchObject({ kind: 'written', after: 0 })
    await flags.refresh(['cold'])
    expect(flags.evaluate('cold', person)).toBe('off')
  })

  test('with an expired or a deleted token, which is reported, until the token is extended in Unleash', async () => {
    await unleash().createFlag('guarded', { percentage: 100 })
    const token = await unleash().createToken(new Date(Date.now() + 1500))
    const flags = await startFlags({ token, refreshMs: 200 })
    await until(() => flags.evaluate('guarded', person) === 'on')
    await until(() => flags.status().isRefused)
    expect(flags.status().trouble).toMatch(/does not accept the token \(401\): the last good flags stay/)
    expect(flags.status().trouble).not.toContain(token)
    expect(flags.evaluate('guarded', person)).toBe('on')
    // Unleash reads its tokens once a minute and when it starts.
    await unleash().setTokenEnd(token, new Date(Date.now() + MINUTE_MS))
    await unleash().restart()
    await until(() => !flags.status().isRefused && flags.status().trouble === undefined)
    await unleash().setRollout('guarded', 0)
    await until(() => flags.evaluate('guarded', person) === 'off')
    await unleash().deleteToken(token)
    await unleash().restart()
    await until(() => flags.status().isRefused)
    expect(flags.evaluate('guarded', person)).toBe('off')
  })
})

function at75({ strategies }: ShownFlag): object[] {
  return strategies.map((strategy) =>
    strategy.name === 'flexibleRollout'
      ? { ...strategy, parameters: { ...(strategy.parameters as object), rollout: '75' } }
      : strategy,
  )
}
