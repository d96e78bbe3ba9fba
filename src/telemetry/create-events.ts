// What every event does: the counters it raises and the line it writes, in one place.
import type { Logger } from 'pino'
import type { Clock } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { Events } from './events.ts'
import type { AccessLog } from './log/access-log.ts'
import type { Metrics } from './metrics/metrics.ts'

export type Sinks = {
  readonly metrics: Metrics
  readonly accessLog: AccessLog | undefined
  readonly log: Logger
  readonly clock: Clock
}

/** Every connection meets it while it lasts. */
const EXHAUSTION_LINE_EVERY_MS = 10_000
/** A bug that every request meets is one line a second with a count, not a full disk. */
const BUG_LINE_EVERY_MS = 1000

export function createEvents({ metrics, accessLog, log, clock }: Sinks): Events {
  const missingFlags = new Set<string>()
  const flagTrouble = new Map<string, string>()
  const keyTrouble = new Set<string>()
  const dryRunTrouble = new Set<string>()
  const exhaustion = { loggedAt: Number.NEGATIVE_INFINITY, unsaid: 0 }
  const bugLines = new Map<string, { at: number; unsaid: number }>()

  return {
    requestFinished(facts) {
      metrics.requestFinished(facts)
      if (isOutOfFiles(facts.outcome.cause)) openFilesExhausted('connect')
      if (facts.decision.reason === 'flag-missing') flagMissing(facts.route.context)
      accessLog?.request(facts)
    },
    requestAnswered(facts) {
      metrics.requestAnswered(facts.by)
      accessLog?.answer(facts)
    },
    requestRefused(facts) {
      metrics.requestRefused(facts.failure)
      accessLog?.refusal(facts)
    },
    upgradeOpened(facts) {
      metrics.upgradeOpened(facts)
      if (facts.decision.reason === 'flag-missing') flagMissing(facts.route.context)
    },
    upgradeClosed(facts) {
      metrics.upgradeClosed()
      const { bytesIn, bytesOut } = facts
      accessLog?.request({ ...facts, outcome: { ...facts.outcome, requestBytes: bytesIn, responseBytes: bytesOut } })
    },

    configApplied(facts) {
      metrics.configApplied(facts.edition)
      log.info(facts, 'config applied')
    },
    configDeprecated(facts) {
      log.warn(facts, 'config applied, and the next version refuses it: correct the mistakes')
    },
    configWarned: (facts) => log.warn(facts, 'config has warnings'),
    embeddingFailed: (facts) =>
      log.error(
        facts,
        'strangler() is not in use and the application answers every request: correct the map and restart',
      ),
    configRejected(facts) {
      metrics.configRejected()
      log.error(facts, 'config rejected: the last good one stays')
    },

    flagsRead({ source, flags }) {
      metrics.flagsRead()
      missingFlags.clear()
      const recovered = flagTrouble.delete(source)
      log.info({ source, flags }, recovered ? 'flags read again' : 'flags read')
    },
    flagsFailed({ source, error, isRefused = false }) {
      metrics.flagsFailed()
      const message = error instanceof Error ? error.message : String(error)
      // A poll fails every few seconds while the authority is down: the same words again are not news.
      const isNews = flagTrouble.get(source) !== message
      flagTrouble.set(source, message)
      const level = isNews ? (isRefused ? 'error' : 'warn') : 'debug'
      log[level]({ source, error: message.split('\n') }, 'flags not read: the last good ones stay')
    },

    keysRead({ uri, keys }) {
      const recovered = keyTrouble.delete(uri)
      log[recovered ? 'info' : 'debug']({ uri, keys }, recovered ? 'issuer’s keys read again' : 'issuer’s keys read')
    },
    keysFailed({ uri, error }) {
      // Tried again for as long as tokens come: said once until it is over.
      log[keyTrouble.has(uri) ? 'debug' : 'warn'](
        { uri, err: error },
        'issuer’s keys not read: the last good ones stay',
      )
      keyTrouble.add(uri)
    },

    stateApplied(facts) {
      metrics.stateApplied(facts.generation)
      log.info(facts, 'shared state applied')
    },
    changed(facts) {
      metrics.changed(facts.verb, facts.result)
      log[facts.result === 'done' ? 'info' : 'warn'](facts, `${facts.verb} ${facts.context ?? 'everything'}`)
    },
    storeCutOff: (facts) => log.warn(facts, 'store cannot be reached: the last state stays'),
    storeReached: (facts) => log.info(facts, 'store reached again'),
    storeRestored: (facts) => log.warn(facts, 'store had lost its state: it was put back'),
    stateFolderLost: (facts) =>
      log.warn(
        facts,
        'state folder is empty, though a gateway of this name has run before: keep the folder in a volume',
      ),
    storeTroubled: ({ location, error }) => log.error({ location, err: error }, 'store has trouble'),

    shadowOpened: ({ context, count }) => metrics.shadow.opened(context, count),
    shadowEnded: ({ context, outcome, reason, count }) => metrics.shadow.ended(context, outcome, reason, count),
    shadowAnswered: (facts) => metrics.shadow.answered(facts.context, facts.answeredBy, facts.primaryMs, facts.copyMs),
    shadowThreadLost(facts) {
      metrics.shadow.threadLost()
      log.warn(facts, 'comparing thread lost: another begins with the next comparison')
    },
    shadowNotDryRun(facts) {
      // Asked again and again while requests come: said once until it is about something else.
      const key = `${facts.context} ${facts.origin} ${facts.why}`
      log[dryRunTrouble.has(key) ? 'debug' : 'warn'](
        facts,
        'service does not take dry runs: no copy that writes is sent',
      )
      dryRunTrouble.add(key)
    },
    comparisonsNotKept({ error }) {
      log.warn({ err: error }, 'comparisons cannot be written: they wait in memory')
    },

    addressEjected(facts) {
      metrics.addressEjected(facts.upstream)
      log.warn(facts, 'address taken out')
    },
    addressReturned: (facts) => log.info(facts, 'address back in use'),

    listening: (facts) => log.info(facts, `${facts.what} listens on ${facts.address}:${facts.port}`),
    adminTokenMade({ file, isKept }) {
      // Without the token: logs are shipped, kept and read by more people than the state folder.
      if (isKept) log.info({ file }, `made a token for the admin API; it is in ${file}`)
      else
        log.error(
          { file },
          `the token for the admin API could not be written to ${file}: make the folder writable, or set STRANGLER_ADMIN_TOKEN`,
        )
    },
    drainStarted: (facts) => log.info(facts, 'draining'),
    drainFinished: (facts) => log.info(facts, 'drained'),
    killFileRefused({ problem }) {
      if (problem === undefined) log.info({}, 'kill file is valid or absent again')
      else log.error({ problem }, 'kill file refused: what was in force stays')
    },
    stateFolderFailed({ folder, error }) {
      log.error(
        { folder, err: error },
        `state folder ${folder} cannot be written: free space, or make it writable; the gateway keeps serving`,
      )
    },
    stateFolderOpen: (facts) =>
      log.warn(
        facts,
        `other users can write to the state folder ${facts.folder} (mode ${facts.mode}), and so change what the gateway does: run chmod 700 ${facts.folder}`,
      ),
    stateFolderRecovered: (facts) => log.info(facts, 'state folder can be written again'),
    stateNotKept({ file, error }) {
      log.warn({ file, err: error }, 'state cannot be written: it will not outlive this process')
    },
    openFilesLow(facts) {
      log.warn(
        facts,
        `limit of open files is ${facts.limit}, and the connections of the map need ${facts.needed}: raise it (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=), or lower limits.connections`,
      )
    },
    acceptFailed({ what, error }) {
      if (isOutOfFiles(error)) openFilesExhausted('accept')
      else log.error({ what, err: error }, `${what} could not accept a connection; it keeps listening`)
    },
    bug({ where, error }) {
      metrics.bug()
      const last = bugLines.get(where)
      if (last !== undefined && clock.now() - last.at < BUG_LINE_EVERY_MS) return void last.unsaid++
      bugLines.set(where, { at: clock.now(), unsaid: 0 })
      log.error({ where, err: error, unsaid: last?.unsaid }, `bug in ${where}`)
    },
  }

  function openFilesExhausted(during: 'accept' | 'connect'): void {
    metrics.openFilesExhausted(during)
    const now = clock.now()
    if (now - exhaustion.loggedAt < EXHAUSTION_LINE_EVERY_MS) return void exhaustion.unsaid++
    log.error(
      { during, unsaid: exhaustion.unsaid },
      'no file descriptor is left: raise the limit of open files (ulimit -n), or lower limits.connections',
    )
    exhaustion.loggedAt = now
    exhaustion.unsaid = 0
  }

  function flagMissing(context: Context | undefined): void {
    if (context === undefined) return
    metrics.flagMissing(context.name)
    if (missingFlags.has(context.flag)) return
    missingFlags.add(context.flag)
    const { flag, name } = context
    log.warn({ flag, context: name }, `flag "${flag}" is not known to the flag authority: "${name}" stays with legacy`)
  }
}

/** EMFILE is the limit of the process, ENFILE that of the system. */
function isOutOfFiles(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return code === 'EMFILE' || code === 'ENFILE'
}
