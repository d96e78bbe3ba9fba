import { caddy } from './caddy.ts'
import { direct } from './direct.ts'
import { haproxy } from './haproxy.ts'
import { nginx } from './nginx.ts'
import { express, fastify } from './node-peers.ts'
import type { Peer } from './peer.ts'
import { strangler } from './strangler.ts'

/** The gateway first: the rate of the latency workload is a tenth of the peak that its first round finds. */
export const PEERS: readonly Peer[] = [strangler, nginx, haproxy, caddy, fastify, express, direct]
