import { parseArgs } from 'node:util'
import { PEERS } from './peers/all.ts'
import type { Peer } from './peers/peer.ts'

export const USAGE = `Usage: npm run bench -- [options]

  --rounds N      interleaved rounds (5)
  --seconds N     seconds for each workload (5)
  --only a,b      only these of: ${PEERS.map((peer) => peer.name).join(', ')}
  --shadow        only what shadowing costs those who are answered
  --no-shadow     all but that
  --quick         for a developer at work: strangler, nginx, express and direct, 2 rounds of 3 s
  --save          keep what is printed as bench/RESULTS.md
  --profile       only the gateway, under --cpu-prof: the functions that cost the most
  --download      with --profile: the 1 MiB download instead of the small GETs
  --keep FILE     with --profile: keep the .cpuprofile, for the browser's developer tools
  --help`

export type Options = {
  readonly rounds: number
  readonly seconds: number
  readonly peers: readonly Peer[]
  readonly save: boolean
  /** What shadowing costs: beside the peers, or alone, or not. */
  readonly shadow: 'too' | 'only' | 'not'
  readonly profile: boolean
  readonly download: boolean
  readonly keep: string | undefined
  readonly help: boolean
}

const QUICK = ['strangler', 'nginx', 'express', 'direct']

/** Throws an error whose message is for the person who typed the command. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      shadow: { type: 'boolean', default: false },
      'no-shadow': { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      download: { type: 'boolean', default: false },
      keep: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const names = values.only?.split(',') ?? (values.quick ? QUICK : undefined)
  return {
    rounds: positive('rounds', values.rounds ?? (values.quick ? '2' : '5')),
    seconds: positive('seconds', values.seconds ?? (values.quick ? '3' : '5')),
    peers: names ? peersNamed(names) : PEERS,
    save: values.save,
    shadow: values.shadow ? 'only' : values['no-shadow'] || names !== undefined ? 'not' : 'too',
    profile: values.profile,
    download: values.download,
    keep: values.keep,
    help: values.help,
  }
}

function positive(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} "${text}" is not a whole number above 0`)
  return Number(text)
}

function peersNamed(names: readonly string[]): Peer[] {
  const unknown = names.filter((name) => !PEERS.some((peer) => peer.name === name))
  if (unknown.length > 0)
    throw new Error(`--only "${unknown.join(',')}": there is ${PEERS.map((peer) => peer.name).join(', ')}`)
  return PEERS.filter((peer) => names.includes(peer.name))
}
