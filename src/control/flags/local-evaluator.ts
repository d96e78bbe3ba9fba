// unleash-client's evaluation over flags that do not come from Unleash.
import type { ClientFeaturesResponse } from 'unleash-client'
import { Evaluator } from './evaluator.ts'
import { FlagRepository } from './flag-repository.ts'

/** The constructor requires an address; with a repository of our own and without metrics nothing is sent to it. */
const NO_SERVER = {
  appName: 'strangler-gateway',
  url: 'http://unleash.invalid/api/',
  disableMetrics: true,
} as const

/** @param onError called with each error of the evaluation */
export function localEvaluator(flags: ClientFeaturesResponse, onError: (error: unknown) => void): Evaluator {
  const repository = new FlagRepository(flags)
  return new Evaluator({ ...NO_SERVER, repository }, { onError, onSideError: (_part, error) => onError(error) })
}
