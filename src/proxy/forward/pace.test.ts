import { describe, expect, it } from 'vitest'
import { Pace } from './pace.ts'

const LIMITS = {
  targetBytes: 0,
  headerBytes: 0,
  headerCount: 0,
  bodyBytes: 0,
  headersMs: 0,
  keepAliveMs: 0,
  connections: 0,
  uploadsPerClient: 0,
  clientIdleMs: 60_000,
  minimumRate: 240,
  rateGraceMs: 5000,
}

/** After how many milliseconds a client is too slow that sends what `bytesAt` says; undefined if not in two hours. */
function tooSlowAfter(bytesAt: (ms: number) => number, limits: Partial<typeof LIMITS> = {}): number | undefined {
  const pace = new Pace()
  for (let ms = 50; ms <= 7_200_000; ms += 50) {
    if (pace.isTooSlow(bytesAt(ms), 50, { ...LIMITS, ...limits })) return ms
  }
  return undefined
}

describe('a client for which the gateway waits', () => {
  it.each([
    ['that sends nothing is too slow after the grace', () => 0, 5050],
    ['that keeps the least rate is never too slow', (ms: number) => ms * 0.24, undefined],
    ['that keeps it in pieces is never too slow', (ms: number) => Math.floor(ms / 4000) * 960, undefined],
    ['that sends half of it is too slow after twice the grace', (ms: number) => ms * 0.12, 10_050],
    ['that was fast once may be slow for a minute, not for hours', (ms: number) => 50_000_000 + ms / 100, 67_750],
    ['that was fast once and is silent is too slow when it has been idle', () => 1_000_000, 60_100],
  ])('%s', (_name, bytesAt, expected) => {
    const result = tooSlowAfter(bytesAt)
    if (expected === undefined) expect(result).toBeUndefined()
    else expect(Math.abs((result ?? 0) - expected)).toBeLessThan(100 + expected / 25)
  })

  it('may be arbitrarily slow without a minimum rate, as long as bytes move', () => {
    expect(tooSlowAfter((ms) => Math.floor(ms / 50_000), { minimumRate: 0 })).toBeUndefined()
    expect(tooSlowAfter(() => 0, { minimumRate: 0 })).toBe(60_050)
  })
})
