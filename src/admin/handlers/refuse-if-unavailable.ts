import { StoreUnavailable } from '../../model/state-store.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'

/** Runs `work`. If the store does not answer, the result is a 503 with Retry-After. @throws every other error of `work` */
export async function refuseIfUnavailable<Answer>(work: () => Promise<Answer>): Promise<Answer | ApiRefusal> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    return new ApiRefusal('unavailable', `the store does not answer (${error.message})`, retryAfter(5))
  }
}
