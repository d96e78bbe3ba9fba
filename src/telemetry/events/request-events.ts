// The events of requests and of upgraded connections.
import type { Events } from '../events.ts'
import { isOutOfFiles, type MissingFlags, type OpenFiles, type Sinks } from './sinks.ts'

type RequestEvents = Pick<
  Events,
  'requestFinished' | 'requestAnswered' | 'requestRefused' | 'upgradeOpened' | 'upgradeClosed'
>

export function createRequestEvents(
  { metrics, accessLog }: Sinks,
  missingFlags: MissingFlags,
  openFiles: OpenFiles,
): RequestEvents {
  return {
    requestFinished(facts) {
      metrics.requestFinished(facts)
      if (isOutOfFiles(facts.outcome.cause)) openFiles.reportExhausted('connect')
      if (facts.decision.reason === 'flag-missing') missingFlags.report(facts.route.context)
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
      if (facts.decision.reason === 'flag-missing') missingFlags.report(facts.route.context)
    },
    upgradeClosed(facts) {
      metrics.upgradeClosed()
      const { bytesIn, bytesOut } = facts
      accessLog?.request({ ...facts, outcome: { ...facts.outcome, requestBytes: bytesIn, responseBytes: bytesOut } })
    },
  }
}
