// `strangler serve`: runs a gateway until a signal stops it.
import { ConfigError } from '../../config/config-error.ts'
import type { Options } from '../../config/options/options.ts'
import { type Gateway, startGateway } from '../../entry/gateway.ts'
import type { Command } from '../command.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describeOptionNames, FLAG_OPTIONS, readOptions, VARIABLE_OPTIONS } from '../serve-options.ts'

export const serve: Command = {
  summary: 'runs the gateway',
  help: `strangler serve: runs the gateway

Usage: strangler serve [options]

${describeOptionNames(FLAG_OPTIONS)}

In the environment only:
${describeOptionNames(VARIABLE_OPTIONS)}

The gateway watches the config and the flags. A valid edit applies at once to new requests. An invalid edit
is reported, and the last valid content stays in force.

Signals: SIGTERM drains (/readyz fails, then the listener closes, then active requests finish) and exits 0;
SIGINT does the same without waiting for a load balancer; a second SIGTERM or SIGINT exits at once; SIGHUP
reopens the access log after a rotation; SIGUSR2 sends all requests to legacy on this gateway only: it
creates "kill.all" in the state folder, and removing that file ends it.
`,
  run: async (args) => {
    const { values } = parse(args, argumentsFor(FLAG_OPTIONS), 0)
    const options = readOptions(values)
    let gateway: Gateway
    try {
      gateway = await startGateway(options)
    } catch (error) {
      process.stderr.write(`strangler serve: ${describeStartError(error, options)}\n`)
      return 1
    }
    return waitForStop(gateway)
  },
}

/** Time for stdout and stderr to drain into their pipes. The gateway has stopped by then. */
const FLUSH_MS = 250

/** Resolves to the exit code once the gateway has stopped. */
function waitForStop(gateway: Gateway): Promise<number> {
  return new Promise((resolve) => {
    let isStopping = false
    const stop = (signal: NodeJS.Signals) => {
      if (isStopping) process.exit(1)
      isStopping = true
      void gateway.stop(signal).then(() => {
        resolve(0)
        // Exits although something is pending, such as a request to an Unleash server that hangs.
        setTimeout(() => process.exit(0), FLUSH_MS).unref()
      })
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    process.on('SIGHUP', () => gateway.reopenLogs())
    process.on('SIGUSR2', () => gateway.killHere())
    // The state after an unexpected error is unknown: log the error and exit, so that the process manager starts a new process.
    process.on('uncaughtException', (error) => {
      gateway.reportCrash(error)
      process.exit(1)
    })
  })
}

/** Why the gateway could not start, with advice. @throws `error` if it is not an expected one */
function describeStartError(error: unknown, { host, port, adminHost, adminPort }: Options): string {
  if (error instanceof ConfigError) return error.message
  const { code, port: failedPort, address, hostname } = error as ListenError
  // With equal ports the hosts distinguish the listeners. The admin server listens first.
  const isAdmin =
    failedPort === undefined || port === adminPort ? (address ?? hostname) === adminHost : failedPort === adminPort
  const where = isAdmin ? `${adminHost}:${adminPort}` : `${host}:${port}`
  const option = isAdmin ? '--admin-port' : '--port'
  if (code === 'EADDRINUSE') return `${where} is in use by another process; stop it, or choose another ${option}`
  if (code === 'EACCES')
    return `${where} requires privileges; choose an ${option} above 1023, or grant cap_net_bind_service`
  if (code === 'EADDRNOTAVAIL')
    return `${where} is not an address of this machine; choose another ${option.replace('port', 'host')}`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `${isAdmin ? adminHost : host} cannot be resolved; choose another ${option.replace('port', 'host')}`
  throw error
}

type ListenError = NodeJS.ErrnoException & { port?: number; address?: string; hostname?: string }
