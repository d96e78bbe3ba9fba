// The programs of `npm start` in the order of their start, with their addresses. Environment variables change the ports.
import { fileURLToPath } from 'node:url'

export interface Program {
  readonly name: string
  readonly colour: number
  readonly url: string
  readonly about: string
  readonly readyUrl: string
  readonly listensOn: readonly Address[]
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** The signal that stops it. With SIGINT the gateway does not wait for load balancers. */
  readonly stopSignal: NodeJS.Signals
}

export interface Address {
  readonly host: string
  readonly port: number
  readonly wantedFor: string
  readonly variable: string
}

const HOST = '127.0.0.1'
const CYAN = 36
const GREEN = 32
const MAGENTA = 35
const YELLOW = 33

export function programs(env: NodeJS.ProcessEnv): readonly Program[] {
  const address = (variable: string, port: number, wantedFor: string): Address => {
    return { host: HOST, port: readPort(variable, env[variable], port), wantedFor, variable }
  }
  const monolithAt = address('MONOLITH_PORT', 3000, 'monolith')
  const catalogAt = address('CATALOG_PORT', 3001, 'catalog service')
  const ordersAt = address('ORDERS_PORT', 3002, 'orders service')
  const gatewayAt = address('STRANGLER_PORT', 8080, 'gateway')
  const adminAt = address('STRANGLER_ADMIN_PORT', 8081, "gateway's admin surface")

  return [
    {
      ...server('monolith', '../../legacy-monolith/server.ts', monolithAt),
      colour: MAGENTA,
      about: 'the monolith: it answers every path that no context owns',
    },
    {
      ...server('catalog', '../../extracted-services/catalog/server.ts', catalogAt),
      colour: GREEN,
      about: 'the service of the context catalog, with the flag migrate-catalog',
    },
    {
      ...server('orders', '../../extracted-services/orders/server.ts', ordersAt, {
        SESSION_URL: `${urlOf(monolithAt)}/api/session`,
      }),
      colour: YELLOW,
      about: 'the service of the context orders, with the flag migrate-orders',
    },
    {
      name: 'gateway',
      colour: CYAN,
      url: urlOf(gatewayAt),
      about: `the address for customers; admin on ${urlOf(adminAt)} (/readyz, /metrics)`,
      readyUrl: `${urlOf(adminAt)}/readyz`,
      listensOn: [gatewayAt, adminAt],
      args: [
        '--disable-sigusr1',
        pathOf('../../bin/strangler.js'),
        'serve',
        ...['--config', pathOf('../../routes.config.ts'), '--flags', pathOf('../../flags.json')],
        ...[
          '--host',
          HOST,
          '--port',
          String(gatewayAt.port),
          '--admin-host',
          HOST,
          '--admin-port',
          String(adminAt.port),
        ],
      ],
      env: { MONOLITH_URL: urlOf(monolithAt), CATALOG_URL: urlOf(catalogAt), ORDERS_URL: urlOf(ordersAt) },
      stopSignal: 'SIGINT',
    },
  ]
}

function server(name: string, file: string, address: Address, env: Record<string, string> = {}) {
  return {
    name,
    url: urlOf(address),
    readyUrl: `${urlOf(address)}/healthz`,
    listensOn: [address],
    args: [pathOf(file)],
    env: { HOST: address.host, PORT: String(address.port), ...env },
    stopSignal: 'SIGTERM',
  } as const
}

function readPort(variable: string, value: string | undefined, otherwise: number): number {
  if (value === undefined || value === '') return otherwise
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0
  if (port < 1 || port > 65_535) throw new PortMistake(`${variable} is "${value}", which is not a port: 1 to 65535.`)
  return port
}

export class PortMistake extends Error {}

function urlOf({ host, port }: Address): string {
  return `http://${host}:${port}`
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}
