// The settings of the whole gateway: identity, limits, retries, ejection, drain, shadowing, matching.
import { z } from 'zod'
import type { ShadowLimits } from '../../model/shadow-policy.ts'
import type { DrainPolicy, EjectionPolicy, Limits, RetryPolicy } from '../../model/snapshot.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { assertComplete, readFields } from './fields.ts'
import {
  addressRange,
  bytes,
  cookieName,
  count,
  cpuShare,
  flag,
  milliseconds,
  oneOf,
  percent,
  userHeader,
} from './leaves.ts'
import type { Matching } from './pattern.ts'
import type { ValidIdentity } from './valid-config.ts'

export const TRUST_LIST = z.array(addressRange, {
  error: 'must be a list of addresses and ranges such as ["10.0.0.0/8"]',
})

export function readIdentity(written: unknown, report: ReportMistake): ValidIdentity {
  const path = 'identity'
  const { user, session, anonymous } = readFields(written ?? {}, path, IDENTITY, report)
  return assertComplete<ValidIdentity>({
    user: user === undefined ? undefined : assertComplete(readFields(user, joinPath(path, 'user'), USER, report)),
    session:
      session === undefined
        ? undefined
        : assertComplete(readFields(session, joinPath(path, 'session'), SESSION, report)),
    anonymous,
  })
}

export function readLimits(written: unknown, report: ReportMistake): Limits {
  const limits = assertComplete<Limits>(readFields(written ?? {}, 'limits', LIMITS, report))
  return limits.bodyBytes === 0 ? { ...limits, bodyBytes: Number.MAX_SAFE_INTEGER } : limits
}

export function readRetries(written: unknown, report: ReportMistake): RetryPolicy {
  return assertComplete<RetryPolicy>(readFields(written ?? {}, 'retries', RETRIES, report))
}

export function readEjection(written: unknown, report: ReportMistake): EjectionPolicy {
  const ejection = assertComplete<EjectionPolicy>(readFields(written ?? {}, 'ejection', EJECTION, report))
  const { baseMs, maxMs } = ejection
  if (baseMs > maxMs) {
    report({ path: 'ejection.maxMs', found: formatValue(maxMs), message: `must be at least baseMs (${baseMs})` })
  }
  return ejection
}

export function readDrain(written: unknown, report: ReportMistake): DrainPolicy {
  const drain = assertComplete<DrainPolicy>(readFields(written ?? {}, 'drain', DRAIN, report))
  const { noticeMs, limitMs } = drain
  if (noticeMs >= limitMs) {
    const message = `must be more than noticeMs (${noticeMs}): the rest of it is for requests in flight`
    report({ path: 'drain.limitMs', found: formatValue(limitMs), message })
  }
  return drain
}

export function readShadowing(written: unknown, report: ReportMistake): ShadowLimits {
  return assertComplete<ShadowLimits>(readFields(written ?? {}, 'shadowing', SHADOWING, report))
}

export function readMatching(written: unknown, report: ReportMistake): Matching {
  const { caseSensitive = true, trailingSlash = 'ignore' } = readFields(written ?? {}, 'matching', MATCHING, report)
  return { caseSensitive, trailingSlash }
}

const IDENTITY = {
  user: z.unknown(),
  session: z.unknown(),
  anonymous: oneOf(['cookie', 'ip', 'legacy']).default('cookie'),
} as const

const WITHOUT_TRUST =
  'must list the proxies that may set the header, such as ["10.0.0.0/8"]: without it every client could act as any user'

const USER = {
  header: userHeader,
  trust: z.array(addressRange, { error: WITHOUT_TRUST }).nonempty({ error: WITHOUT_TRUST }),
} as const

const SESSION = { cookie: cookieName } as const

const LIMITS = {
  targetBytes: bytes(1, 1_048_576).default(8192),
  headerBytes: bytes(1, 1_048_576).default(16_384),
  headerCount: count(1, 2000).default(100),
  bodyBytes: bytes(0, Number.MAX_SAFE_INTEGER).default(0),
  headersMs: milliseconds(1).default(10_000),
  clientIdleMs: milliseconds(1).default(60_000),
  minimumRate: bytes(0, 1_000_000_000).default(0),
  uploadsPerClient: count(1, 1_000_000).default(64),
  rateGraceMs: milliseconds(0).default(5_000),
  keepAliveMs: milliseconds(1).default(65_000),
  connections: count(1, 1_000_000).default(10_000),
} as const

const RETRIES = { budgetPercent: percent(0).default(20), minimumPerSecond: count(0, 10_000).default(3) } as const

const EJECTION = {
  consecutiveFailures: count(1, 1000).default(5),
  baseMs: milliseconds(1).default(30_000),
  maxMs: milliseconds(1).default(300_000),
  maxPercent: percent(0).default(50),
} as const

const DRAIN = { noticeMs: milliseconds(0).default(5000), limitMs: milliseconds(1).default(25_000) } as const

const SHADOWING = {
  captureBytes: bytes(0, 1024 * 1024 * 1024).default(32 * 1024 * 1024),
  underWay: count(0, 10_000).default(256),
  lagMs: milliseconds(1).default(70),
  cpuShare: cpuShare.default(0.5),
} as const

const MATCHING = {
  caseSensitive: flag.default(true),
  trailingSlash: oneOf(['ignore', 'strict']).default('ignore'),
} as const
