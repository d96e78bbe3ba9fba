// The events of the process: listeners, addresses, draining, limits and bugs.
import type { Events } from '../events.ts'
import { LineLimiter } from './repeats.ts'
import { isOutOfFiles, type OpenFiles, type Sinks } from './sinks.ts'

type ProcessEvents = Pick<
  Events,
  | 'listening'
  | 'adminTokenCreated'
  | 'addressEjected'
  | 'addressReturned'
  | 'drainStarted'
  | 'drainFinished'
  | 'openFilesLow'
  | 'acceptFailed'
  | 'bug'
>

/** Every request can meet the same bug: the limit keeps the disk from filling. */
const BUG_INTERVAL_MS = 1000

export function createProcessEvents({ metrics, log, clock }: Sinks, openFiles: OpenFiles): ProcessEvents {
  const bugLimiters = new Map<string, LineLimiter>()

  return {
    listening: (facts) => log.info(facts, `${facts.what} listens on ${facts.address}:${facts.port}`),
    adminTokenCreated({ file, isKept }) {
      // Without the token: more people can read a log than the state folder.
      if (isKept) log.info({ file }, `made a token for the admin API; it is in ${file}`)
      else
        log.error(
          { file },
          `the token for the admin API could not be written to ${file}: make the folder writable, or set STRANGLER_ADMIN_TOKEN`,
        )
    },
    addressEjected(facts) {
      metrics.addressEjected(facts.upstream)
      log.warn(facts, 'address taken out')
    },
    addressReturned: (facts) => log.info(facts, 'address back in use'),
    drainStarted: (facts) => log.info(facts, 'draining'),
    drainFinished: (facts) => log.info(facts, 'drained'),
    openFilesLow: (facts) =>
      log.warn(
        facts,
        `limit of open files is ${facts.limit}, and the connections of the map need ${facts.needed}: raise it (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=), or lower limits.connections`,
      ),
    acceptFailed({ what, error }) {
      if (isOutOfFiles(error)) openFiles.reportExhausted('accept')
      else log.error({ what, err: error }, `${what} could not accept a connection; it keeps listening`)
    },
    bug({ where, error }) {
      metrics.bug()
      const isFirst = !bugLimiters.has(where)
      const limiter = bugLimiters.get(where) ?? new LineLimiter(BUG_INTERVAL_MS)
      bugLimiters.set(where, limiter)
      const unsaid = limiter.next(clock.now())
      if (unsaid === undefined) return
      log.error({ where, err: error, unsaid: isFirst ? undefined : unsaid }, `bug in ${where}`)
    },
  }
}
