// The repository of unleash-client for flags that do not come from Unleash: an immutable set in memory.
import { EventEmitter } from 'node:events'
import type { ClientFeaturesResponse, UnleashConfig } from 'unleash-client'

type RepositoryInterface = NonNullable<UnleashConfig['repository']>
export type Feature = ClientFeaturesResponse['features'][number]
type FlagSegment = NonNullable<ClientFeaturesResponse['segments']>[number]

export class FlagRepository extends EventEmitter implements RepositoryInterface {
  readonly #features: ReadonlyMap<string, Feature>
  readonly #segments: ReadonlyMap<number, FlagSegment>

  constructor({ features, segments = [] }: ClientFeaturesResponse) {
    super()
    this.#features = new Map(features.map((feature) => [feature.name, feature]))
    this.#segments = new Map(segments.map((segment) => [segment.id, segment]))
  }

  getToggle(name: string): Feature | undefined {
    return this.#features.get(name)
  }

  getToggles(): Feature[] {
    return [...this.#features.values()]
  }

  getTogglesWithSegmentData(): ReturnType<RepositoryInterface['getTogglesWithSegmentData']> {
    return this.getToggles().map(({ strategies, ...feature }) => ({
      ...feature,
      ...(strategies && {
        strategies: strategies.map(({ segments, ...strategy }) => ({
          ...strategy,
          ...(segments && { segments: segments.map((id) => this.getSegment(id)) }),
        })),
      }),
    }))
  }

  getSegment(id: number): FlagSegment | undefined {
    return this.#segments.get(id)
  }

  async start(): Promise<void> {}

  stop(): void {
    this.removeAllListeners()
  }
}
