// When the flags of Unleash that are in use were read.
import type { StateStore } from '../../../model/state-store.ts'
import { SETTLED_MS } from '../../fleet/expected-percentages.ts'
import type { Flags } from '../flags.ts'

/**
 * Whether the flags in use were read so long after a time that they contain all that was written to Unleash until then.
 *
 * @param time milliseconds since 1970, by the store's clock
 */
export function isReadSince(flags: Pick<Flags, 'status'>, store: Pick<StateStore, 'wallTime'>, time: number): boolean {
  const { ageMs, trouble } = flags.status()
  return trouble === undefined && ageMs !== undefined && store.wallTime() - ageMs >= time + SETTLED_MS
}
