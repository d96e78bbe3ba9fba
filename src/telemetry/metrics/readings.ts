// Values that are only read at a scrape, such as the length of a queue.
import type { Registry } from 'prom-client'
import { expose, type Sample } from './exposition.ts'
import type { ShadowReadings } from './shadow-metrics.ts'

export type Readings = {
  readonly requestsInFlight: number
  /** How long the flags in use may have been out of date, in seconds; undefined before the first read. */
  readonly flagAgeSeconds: number | undefined
  /** Whether Unleash rejects the token. */
  readonly isTokenRefused: boolean
  /** Seconds since the store of the shared state was reached; 0 while it is reachable. */
  readonly storeCutOffSeconds: number
  /** Files whose content on disk was rejected. */
  readonly rejectedFiles: readonly ('map' | 'flags')[]
  /** Undefined if the gateway writes no state folder, as inside Express with a flags file. */
  readonly isStateFolderWritable: boolean | undefined
  readonly connections: readonly ConnectionReading[]
  readonly addresses: readonly AddressReading[]
  /** Undefined if the gateway compares nothing. */
  readonly shadow: ShadowReadings | undefined
}

type ConnectionReading = {
  readonly upstream: string
  readonly address: string
  readonly open: number
  readonly inUse: number
  /** Requests that wait for a connection. */
  readonly waiting: number
}

type AddressReading = { readonly upstream: string; readonly address: string; readonly available: boolean }

export function exposeReadings(registry: Registry, read: () => Readings): void {
  for (const gauge of GAUGES) {
    const { name, help, collect } = gauge
    expose(registry, { name, help, type: 'gauge', collect: () => collect(read()) })
  }
}

type ReadingGauge = {
  readonly name: string
  readonly help: string
  readonly collect: (readings: Readings) => Sample[]
}

const GAUGES: readonly ReadingGauge[] = [
  {
    name: 'strangler_requests_in_flight',
    help: 'Requests between their first line and the last byte of their response.',
    collect: ({ requestsInFlight }) => single(requestsInFlight),
  },
  {
    name: 'strangler_flag_age_seconds',
    help: 'How long the flags in use may have been out of date; absent before flags were read.',
    collect: ({ flagAgeSeconds }) => (flagAgeSeconds === undefined ? [] : single(flagAgeSeconds)),
  },
  {
    name: 'strangler_flags_refused',
    help: '1 while Unleash rejects the API token.',
    collect: ({ isTokenRefused }) => single(Number(isTokenRefused)),
  },
  {
    name: 'strangler_store_cut_off_seconds',
    help: 'Seconds since the store of the shared state was reached; 0 while it is reachable.',
    collect: ({ storeCutOffSeconds }) => single(storeCutOffSeconds),
  },
  {
    name: 'strangler_config_rejected',
    help: '1 while the content of the file on disk is rejected and the last good content stays in force.',
    collect: ({ rejectedFiles }) =>
      (['map', 'flags'] as const).map((file) => ({ labels: { file }, value: Number(rejectedFiles.includes(file)) })),
  },
  {
    name: 'strangler_state_folder_writable',
    help: '1 while the disk accepts writes of the state folder, 0 from a failed write until one succeeds.',
    collect: ({ isStateFolderWritable }) =>
      isStateFolderWritable === undefined ? [] : single(Number(isStateFolderWritable)),
  },
  {
    name: 'strangler_connections',
    help: 'Connections to an address by state; waiting counts requests that have no connection yet.',
    collect: ({ connections }) =>
      connections.flatMap(({ upstream, address, open, inUse, waiting }) => [
        { labels: { upstream, address, state: 'open' }, value: open },
        { labels: { upstream, address, state: 'in_use' }, value: inUse },
        { labels: { upstream, address, state: 'waiting' }, value: waiting },
      ]),
  },
  {
    name: 'strangler_address_available',
    help: '1 while requests may go to an address, 0 while it is ejected.',
    collect: ({ addresses }) =>
      addresses.map(({ upstream, address, available }) => ({
        labels: { upstream, address },
        value: Number(available),
      })),
  },
]

function single(value: number): Sample[] {
  return [{ labels: {}, value }]
}
