// Whether a service has agreed to act upon copies only as if. Nothing that changes anything is sent before it has.
//
// The handshake: OPTIONS /.well-known/shadow with `X-Shadow: handshake`, answered with a 2xx and
// `X-Shadow-Accepted: dry-run`. Each copy then carries `X-Shadow: dry-run`, and each answer repeats the agreement.
import type { CopyRequest } from '../../model/shadow.ts'
import { firstField } from '../compare/first-field.ts'
import type { CopyClient } from '../worker/copy-client.ts'
import { isAccepted, SHADOW_FIELD } from './copy-fields.ts'

export const HANDSHAKE_PATH = '/.well-known/shadow'

export type DryRuns = {
  /**
   * Asks the address that the copy would go to, unless it has answered a moment ago.
   *
   * @returns what holds as long as the agreement does: it is aborted when that ends
   */
  readonly agreement: (copy: CopyRequest) => Promise<AbortSignal | undefined>
  /** It answered a copy without a word of agreement: nothing further is sent until it agrees again. */
  readonly withdraw: (copy: CopyRequest) => void
}

/** An agreement holds so long: a deployment may take it back. */
const AGREED_MS = 60_000
/** Whoever did not agree is asked again after so long. */
const REFUSED_MS = 30_000
/** Beyond that the oldest goes: addresses come and go with the config, and a Host that is preserved is the client's. */
const MOST_KNOWN = 1000
const HANDSHAKE = { maxBodyBytes: 16 * 1024, timeoutMs: 2000 }

/** @param now milliseconds that only grow */
export function createDryRuns({ ask }: Pick<CopyClient, 'ask'>, now: () => number): DryRuns {
  const known = new Map<string, Known>()
  return {
    agreement: async (copy) => {
      const key = keyOf(copy)
      const before = known.get(key)
      const current = before !== undefined && before.until > now() ? before : askAgain(key, copy, before?.holds)
      const { isAgreed, holds } = current
      return (await isAgreed) && !holds.signal.aborted ? holds.signal : undefined
    },
    withdraw: (copy) => {
      const key = keyOf(copy)
      const before = known.get(key)
      keep(key, { until: now() + REFUSED_MS, isAgreed: NO, holds: new AbortController() })
      // Copies that wait for a connection are not sent any more.
      before?.holds.abort()
    },
  }

  /** What was sent under the agreement before goes on under this one. */
  function askAgain(key: string, copy: CopyRequest, before: AbortController | undefined): Known {
    const holds = before === undefined || before.signal.aborted ? new AbortController() : before
    const asked: Known = { until: now() + AGREED_MS, isAgreed: shakeHands(copy), holds }
    keep(key, asked)
    void asked.isAgreed.then((isAgreed) => {
      if (isAgreed) return
      holds.abort()
      if (known.get(key) === asked) known.set(key, { ...asked, until: now() + REFUSED_MS })
    })
    return asked
  }

  function keep(key: string, it: Known): void {
    known.delete(key)
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value as string)
    known.set(key, it)
  }

  async function shakeHands(copy: CopyRequest): Promise<boolean> {
    const request = { ...copy, method: 'OPTIONS', path: HANDSHAKE_PATH }
    const fields = ['Host', hostOf(copy), SHADOW_FIELD, 'handshake']
    const asked = await ask(request, fields, undefined, HANDSHAKE)
    return asked.kind === 'answered' && Math.floor(asked.answer.status / 100) === 2 && isAccepted(asked.answer.headers)
  }
}

type Known = {
  readonly until: number
  readonly isAgreed: Promise<boolean>
  readonly holds: AbortController
}

const NO = Promise.resolve(false)

/** Whoever is reached there: behind one address there may be a service for each name. */
function keyOf(copy: CopyRequest): string {
  return `${copy.origin} ${copy.servername} ${hostOf(copy)}`
}

function hostOf({ fields }: CopyRequest): string {
  return firstField(fields, 'host')
}
