// unleash-client's evaluation, opened just far enough.
//
// `Unleash.isEnabled` copies the context, makes closures and answers `false` for a flag it does not know. Its `client`
// does the evaluation alone, and the class offers it to subclasses; what it needs of the context is added here.
import type { EventEmitter } from 'node:events'
import { type Context, Unleash, type UnleashConfig, UnleashEvents } from 'unleash-client'
import type { ApiResponse } from 'unleash-client/lib/feature.js'
import type { FlagAnswer, FlagContext } from '../../model/decision.ts'

export type Feature = NonNullable<ReturnType<Unleash['getFeatureToggleDefinition']>>
type Strategy = NonNullable<Feature['strategies']>[number]

export type EvaluatorListener = {
  /** Flags could not be read or understood. */
  readonly onError: (error: unknown) => void
  /** What changes no flag: a strategy that this client does not have, usage counts that did not get through. */
  readonly onSideError: (part: 'evaluation' | 'usage counts', error: unknown) => void
}

/** Unleash reports through one event what comes from several parts of it, and only one of them reads flags. */
type Parts = { readonly repository: Repository; readonly metrics: EventEmitter }

/** The client's own; one over flags in memory has neither of these, and is given nothing. */
type Repository = EventEmitter & {
  etag: string | undefined
  readonly ready: boolean
  readonly save: (response: ApiResponse, isFromUnleash: true) => Promise<void>
}

export class Evaluator extends Unleash {
  /** While it tells of a change: that only one flag came, which says nothing of the others. */
  isTakingOne = false

  constructor(config: UnleashConfig, { onError: onTrouble, onSideError: onSideTrouble }: EvaluatorListener) {
    super({ ...config, disableAutoStart: true, skipInstanceCountWarning: true })
    // Without a listener of ours, Unleash prints errors to the console.
    this.on(UnleashEvents.Error, ignore)
    const { repository, metrics } = this.parts()
    for (const event of [UnleashEvents.Error, UnleashEvents.Warn]) {
      repository.on(event, onTrouble)
      this.client.on(event, (error) => onSideTrouble('evaluation', error))
      metrics.on(event, (error) => onSideTrouble('usage counts', error))
    }
  }

  /** Synchronous and in memory. */
  answer(flag: string, context: FlagContext): Exclude<FlagAnswer, 'stale'> {
    if (this.find(flag) === undefined) {
      this.count(flag, false)
      return 'missing'
    }
    const isOn = this.client.isEnabled(flag, this.contextFor(context), never)
    this.count(flag, isOn)
    return isOn ? 'on' : 'off'
  }

  /** The flag's definition. unleash-client keeps flags in a plain object, where `constructor` is always found. */
  find(flag: string): Feature | undefined {
    const feature = this.getFeatureToggleDefinition(flag)
    return feature !== undefined && feature.name === flag ? feature : undefined
  }

  /** Whether the flag is on whoever asks, somebody unknown included. */
  isFullyOn(flag: string): boolean {
    const feature = this.find(flag)
    if (feature === undefined || !feature.enabled || feature.dependencies?.length) return false
    if (!Array.isArray(feature.strategies)) return false
    return feature.strategies.length === 0 || feature.strategies.some(isForEverybody)
  }

  /** What this strategy alone would say. */
  allows(flag: string, strategy: Strategy, context: FlagContext): boolean {
    const alone = { name: flag, enabled: true, strategies: [strategy] }
    return this.client.isFeatureEnabled(alone, this.contextFor(context), never).enabled
  }

  /** Whether the flags that this one depends on are as it needs them. */
  parentsAllow(feature: Feature, context: FlagContext): boolean {
    return this.client.isParentDependencySatisfied(feature, this.contextFor(context))
  }

  /** What the list of flags in use is called; undefined if it is none of Unleash's. */
  get etag(): string | undefined {
    return this.parts().repository.etag
  }

  /** What is in use is not the list any more: the next one is wanted whole, though it be the same. */
  forgetEtag(): void {
    this.parts().repository.etag = undefined
  }

  /** Whether there is a set of flags, Unleash's or the kept one: a single flag beside it is a change, alone it is not. */
  get hasFlags(): boolean {
    return this.parts().repository.ready
  }

  /** The whole list, fetched beside the polls, which go on from its `etag`. */
  async takeAll(response: ApiResponse, etag: string | undefined): Promise<void> {
    const { repository } = this.parts()
    repository.etag = etag
    await repository.save(response, true)
  }

  /** One flag, fetched beside the polls. */
  async takeOne(feature: Feature): Promise<void> {
    const update: ApiResponse = { type: 'delta', events: [{ type: 'feature-updated', eventId: 0, feature }] }
    this.isTakingOne = true
    // The repository tells of the change before its first await.
    const saved = this.parts().repository.save(update, true)
    this.isTakingOne = false
    await saved
  }

  /** Unleash said, beside the polls, that its flags are still these. */
  takeUnchanged(): void {
    this.parts().repository.emit(UnleashEvents.Unchanged)
  }

  override destroy(): void {
    super.destroy()
    // Stopping removes every listener; a request still under way that fails later would throw for want of one.
    this.parts().repository.on(UnleashEvents.Error, ignore)
  }

  private parts(): Parts {
    return this as unknown as Parts
  }

  /** One literal of one shape; Unleash's types want absent fields rather than undefined ones, its code does not care. */
  private contextFor(context: FlagContext): Context {
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

function isForEverybody({ name, parameters, constraints, segments }: Strategy): boolean {
  if (constraints?.length || segments?.length) return false
  if (name === 'default') return true
  // A rollout that sticks to a field leaves out those who have no such field, also at a hundred percent.
  const { rollout, stickiness }: { rollout?: unknown; stickiness?: unknown } = parameters ?? {}
  if (name !== 'flexibleRollout' || !(Number(rollout) >= 100)) return false
  return !stickiness || stickiness === 'default' || stickiness === 'random'
}

function never(): boolean {
  return false
}

function ignore(): void {}
