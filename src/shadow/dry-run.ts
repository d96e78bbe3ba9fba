// Whether a service has agreed to act upon copies only as if. Nothing that changes anything is sent before it has.
//
// The handshake: OPTIONS /.well-known/shadow with `X-Shadow: handshake`, answered with a 2xx and
// `X-Shadow-Accepted: dry-run`. Each copy then carries `X-Shadow: dry-run`, and each answer repeats the agreement.
import type { CopyRequest } from '../model/shadow.ts'
import type { Asker } from './ask.ts'
import { firstField } from './first-field.ts'
import { isAccepted, SHADOW_FIELD } from './mark.ts'

export const HANDSHAKE_PATH = '/.well-known/shadow'

export type DryRuns = {
  /** Asks the address that the copy would go to, unless it has answered a moment ago. */
  readonly isAgreed: (copy: CopyRequest) => Promise<boolean>
  /** It answered a copy without a word of agreement: nothing further is sent until it agrees again. */
  readonly withdraw: (origin: string) => void
}

/** An agreement holds so long: a deployment may take it back. */
const AGREED_MS = 60_000
/** Whoever did not agree is asked again after so long. */
const REFUSED_MS = 30_000
const HANDSHAKE = { maxBodyBytes: 16 * 1024, timeoutMs: 2000 }

/** @param now milliseconds that only grow */
export function createDryRuns({ ask }: Pick<Asker, 'ask'>, now: () => number): DryRuns {
  const known = new Map<string, { readonly until: number; readonly isAgreed: Promise<boolean> }>()
  return {
    isAgreed: async (copy) => {
      const before = known.get(copy.origin)
      if (before !== undefined && before.until > now()) return before.isAgreed
      const asked = shakeHands(copy)
      known.set(copy.origin, { until: now() + AGREED_MS, isAgreed: asked })
      if (!(await asked)) known.set(copy.origin, { until: now() + REFUSED_MS, isAgreed: asked })
      return asked
    },
    withdraw: (origin) => known.set(origin, { until: now() + REFUSED_MS, isAgreed: Promise.resolve(false) }),
  }

  async function shakeHands(copy: CopyRequest): Promise<boolean> {
    const request = { ...copy, method: 'OPTIONS', path: HANDSHAKE_PATH }
    const fields = ['Host', firstField(copy.fields, 'host'), SHADOW_FIELD, 'handshake']
    const asked = await ask(request, fields, undefined, HANDSHAKE)
    return asked.kind === 'answered' && Math.floor(asked.answer.status / 100) === 2 && isAccepted(asked.answer.headers)
  }
}
