// A peer: something that can stand between the load and the origin, started for one measurement and then stopped.
import type { Side } from '../origin.ts'
import type { Launch } from '../workshop.ts'

export type Site = {
  readonly directory: string
  readonly port: number
  readonly adminPort: number
  readonly originPorts: Readonly<Record<Side, number>>
}

export type Prepared = {
  readonly launch: Launch
  /** The file its access log goes to; measured runs check that every request left a line there. */
  readonly accessLog?: string | 'stdout'
  /** Where it counts what it did; measured runs check that it is counting. */
  readonly metricsUrl?: string
}

export type Peer = {
  readonly name: string
  /** The description of the peer in the report. */
  readonly description: string
  readonly executables: readonly string[]
  version(): string
  /** Writes its configuration into the site; undefined where nothing stands in between. */
  prepare: ((site: Site) => Prepared) | undefined
}
