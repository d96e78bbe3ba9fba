// `strangler serve`: runs a gateway until it is told to stop.
import { ConfigError } from '../../config/config-error.ts'
import type { Options } from '../../config/options/options.ts'
import { type Gateway, startGateway } from '../../entry/gateway.ts'
import type { Command } from '../command.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describe, FLAGGED, readOptions, UNFLAGGED } from '../serve-options.ts'

export const serve: Command = {
  summary: 'runs the gateway',
  help: `strangler serve: runs the gateway

Usage: strangler serve [options]

${describe(FLAGGED)}

In the environment only:
${describe(UNFLAGGED)}

The config and the flags are watched: a good edit is applied at once to new requests, a bad one is
reported and the last good one stays.

Signals: SIGTERM drains (/readyz fails, then the listener closes, then what is in flight finishes) and
exits 0; SIGINT does so without waiting for a load balancer; a second one of either exits at once;
SIGHUP opens the access log anew, after it was rotated; SIGUSR2 sends everything to legacy on this
gateway alone: it creates "kill.all" in its state folder, and removing that file ends it.
`,
  run: async (args) => {
    const { values } = parse(args, argumentsFor(FLAGGED), 0)
    const options = readOptions(values)
    let gateway: Gateway
    try {
      gateway = await startGateway(options)
    } catch (error) {
      process.stderr.write(`strangler serve: ${explainStart(error, options)}\n`)
      return 1
    }
    return stopped(gateway)
  },
}

/** All has been said and written by then: this is for the pipes to empty. */
const LAST_WORDS_MS = 250

/** Resolves to the exit code once the gateway has stopped. */
function stopped(gateway: Gateway): Promise<number> {
  return new Promise((resolve) => {
    let isStopping = false
    const stop = (signal: NodeJS.Signals) => {
      if (isStopping) process.exit(1)
      isStopping = true
      void gateway.stop(signal).then(() => {
        resolve(0)
        // What others still wait for, such as a poll of an Unleash that hangs, and its retries, holds nobody up.
        setTimeout(() => process.exit(0), LAST_WORDS_MS).unref()
      })
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    process.on('SIGHUP', () => gateway.reopenLogs())
    process.on('SIGUSR2', () => gateway.killHere())
    // Nothing is known of a state that no one foresaw: say so, and let whoever started us start us anew.
    process.on('uncaughtException', (error) => {
      gateway.reportCrash(error)
      process.exit(1)
    })
  })
}

/** What kept the gateway from starting, in one sentence that says what to do. */
function explainStart(error: unknown, { host, port, adminHost, adminPort }: Options): string {
  if (error instanceof ConfigError) return error.message
  const { code, port: failed, address, hostname } = error as ListenError
  // Where the ports tell nothing, the hosts do; the admin surface is the first to listen.
  const isAdmin =
    failed === undefined || port === adminPort ? (address ?? hostname) === adminHost : failed === adminPort
  const where = isAdmin ? `${adminHost}:${adminPort}` : `${host}:${port}`
  const option = isAdmin ? '--admin-port' : '--port'
  if (code === 'EADDRINUSE') return `${where} is taken by another process; stop it, or choose another ${option}`
  if (code === 'EACCES')
    return `${where} needs privileges; choose an ${option} above 1023, or grant cap_net_bind_service`
  if (code === 'EADDRNOTAVAIL')
    return `${where} is no address of this machine; choose another ${option.replace('port', 'host')}`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `${isAdmin ? adminHost : host} is no name that can be looked up; choose another ${option.replace('port', 'host')}`
  throw error
}

type ListenError = NodeJS.ErrnoException & { port?: number; address?: string; hostname?: string }
