// unleash-client's evaluation without the parts that a request cannot afford.
//
// `Unleash.isEnabled` copies the context, allocates closures and answers `false` for an unknown flag. Its `client`, which subclasses
// may use, only evaluates; this class adds the fields of the context that it needs.
import type { EventEmitter } from 'node:events'
import { type Context, Unleash, type UnleashConfig, UnleashEvents } from 'unleash-client'
import type { ApiResponse } from 'unleash-client/lib/feature.js'
import type { FlagAnswer, FlagContext } from '../../model/decision.ts'
import type { Feature } from './flag-repository.ts'

type FlagStrategy = NonNullable<Feature['strategies']>[number]

type EvaluatorListener = {
  /** Flags could not be read or understood. */
  readonly onError: (error: unknown) => void
  /** A failure that changes no flag: a strategy that this client does not know, or usage counts that Unleash did not accept. */
  readonly onSideError: (part: 'evaluation' | 'usage counts', error: unknown) => void
}

/** unleash-client reports the errors of all its parts as one event. Only the repository reads flags. */
type UnleashParts = { readonly repository: Repository; readonly metrics: EventEmitter }

/** unleash-client's own repository. A `FlagRepository` has neither `etag` nor `save`, which are not used with it. */
type Repository = EventEmitter & {
  etag: string | undefined
  readonly ready: boolean
  readonly save: (response: ApiResponse, isFromUnleash: true) => Promise<void>
}

export class Evaluator extends Unleash {
  /** True during the event of a change if only one flag was received: it does not confirm the others. */
  isTakingOne = false

  constructor(config: UnleashConfig, { onError, onSideError }: EvaluatorListener) {
    super({ ...config, disableAutoStart: true, skipInstanceCountWarning: true })
    // Without a listener, unleash-client prints errors to the console.
    this.on(UnleashEvents.Error, ignore)
    const { repository, metrics } = this.#parts()
    for (const event of [UnleashEvents.Error, UnleashEvents.Warn]) {
      repository.on(event, onError)
      this.client.on(event, (error) => onSideError('evaluation', error))
      metrics.on(event, (error) => onSideError('usage counts', error))
    }
  }

  /** Synchronous and in memory. */
  answer(flag: string, context: FlagContext): Exclude<FlagAnswer, 'stale'> {
    if (this.find(flag) === undefined) {
      this.count(flag, false)
      return 'missing'
    }
    const isOn = this.client.isEnabled(flag, this.#contextFor(context), never)
    this.count(flag, isOn)
    return isOn ? 'on' : 'off'
  }

  /** The definition of a flag. unleash-client keeps flags in a plain object, which also has `constructor` and its like. */
  find(flag: string): Feature | undefined {
    const feature = this.getFeatureToggleDefinition(flag)
    return feature !== undefined && feature.name === flag ? feature : undefined
  }

  /** Whether the flag is on for all users, anonymous users included. */
  isFullyOn(flag: string): boolean {
    const feature = this.find(flag)
    if (feature === undefined || !feature.enabled || feature.dependencies?.length) return false
    if (!Array.isArray(feature.strategies)) return false
    return feature.strategies.length === 0 || feature.strategies.some(isForAllUsers)
  }

  /** Whether the flag would be on with this strategy alone. */
  allows(flag: string, strategy: FlagStrategy, context: FlagContext): boolean {
    const flagWithStrategy = { name: flag, enabled: true, strategies: [strategy] }
    return this.client.isFeatureEnabled(flagWithStrategy, this.#contextFor(context), never).enabled
  }

  /** Whether the flags that this one depends on are as it needs them. */
  parentsAllow(feature: Feature, context: FlagContext): boolean {
    return this.client.isParentDependencySatisfied(feature, this.#contextFor(context))
  }

  /** The etag of the list of flags in use; undefined if it did not come from Unleash. */
  get etag(): string | undefined {
    return this.#parts().repository.etag
  }

  /** The flags in use are not the last list any more: the next poll must receive the whole list, changed or not. */
  forgetEtag(): void {
    this.#parts().repository.etag = undefined
  }

  /** Whether a list of flags is in use, of Unleash or of the backup. Without a list, a single flag cannot be taken into use. */
  get hasFlags(): boolean {
    return this.#parts().repository.ready
  }

  /** Takes a list into use that no poll has fetched. Polls go on from its etag. */
  async takeAll(response: ApiResponse, etag: string | undefined): Promise<void> {
    const { repository } = this.#parts()
    repository.etag = etag
    await repository.save(response, true)
  }

  /** Takes one flag into use that no poll has fetched. */
  async takeOne(feature: Feature): Promise<void> {
    const update: ApiResponse = { type: 'delta', events: [{ type: 'feature-updated', eventId: 0, feature }] }
    this.isTakingOne = true
    // The repository emits the change before its first await.
    const saved = this.#parts().repository.save(update, true)
    this.isTakingOne = false
    await saved
  }

  /** Unleash has confirmed the flags in use in the response to a request that was no poll. */
  takeUnchanged(): void {
    this.#parts().repository.emit(UnleashEvents.Unchanged)
  }

  override destroy(): void {
    super.destroy()
    // `destroy` removes every listener: a request that fails after it would throw without one.
    this.#parts().repository.on(UnleashEvents.Error, ignore)
  }

  #parts(): UnleashParts {
    return this as unknown as UnleashParts
  }

  /** One object shape for all calls. unleash-client's types forbid undefined fields; its code accepts them. */
  #contextFor(context: FlagContext): Context {
    return {
      appName: this.staticContext.appName,
      environment: this.staticContext.environment,
      userId: context.userId,
      sessionId: context.sessionId,
      remoteAddress: context.remoteAddress,
      properties: context.properties,
    } as Context
  }
}

function isForAllUsers({ name, parameters, constraints, segments }: FlagStrategy): boolean {
  if (constraints?.length || segments?.length) return false
  if (name === 'default') return true
  // A rollout with stickiness to a field excludes users without that field, also at 100 %.
  const { rollout, stickiness }: { rollout?: unknown; stickiness?: unknown } = parameters ?? {}
  if (name !== 'flexibleRollout' || !(Number(rollout) >= 100)) return false
  return !stickiness || stickiness === 'default' || stickiness === 'random'
}

function never(): boolean {
  return false
}

function ignore(): void {}
