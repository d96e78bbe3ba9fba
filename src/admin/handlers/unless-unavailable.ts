// A store that does not answer is no bug: whoever asked is told to ask again.
import { StoreUnavailable } from '../../model/state-store.ts'
import { Refusal, retryAfter } from '../http/problem.ts'

export async function unlessUnavailable<Answer>(work: () => Promise<Answer>): Promise<Answer | Refusal> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    return new Refusal('unavailable', `the store does not answer (${error.message})`, retryAfter(5))
  }
}
