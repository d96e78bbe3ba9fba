// The events of flags and of the keys of token issuers.
import type { Events } from '../events.ts'
import { ProblemMemory } from './repeats.ts'
import type { MissingFlags, Sinks } from './sinks.ts'

type FlagEvents = Pick<Events, 'flagsRead' | 'flagsFailed' | 'keysRead' | 'keysFailed'>

export function createFlagEvents({ metrics, log }: Sinks, missingFlags: MissingFlags): FlagEvents {
  const flagProblems = new ProblemMemory()
  const keyProblems = new ProblemMemory()

  return {
    flagsRead({ source, flags }) {
      metrics.flagsRead()
      missingFlags.reset()
      const hasRecovered = flagProblems.end(source)
      log.info({ source, flags }, hasRecovered ? 'flags read again' : 'flags read')
    },
    flagsFailed({ source, error, isRefused = false }) {
      metrics.flagsFailed()
      const message = error instanceof Error ? error.message : String(error)
      // A poll fails every few seconds during an outage: the same problem is logged once.
      const isNew = flagProblems.isNew(source, message)
      const level = isNew ? (isRefused ? 'error' : 'warn') : 'debug'
      log[level]({ source, error: message.split('\n') }, 'flags not read: the last good ones stay')
    },
    keysRead({ uri, keys }) {
      const hasRecovered = keyProblems.end(uri)
      const message = hasRecovered ? 'issuer’s keys read again' : 'issuer’s keys read'
      log[hasRecovered ? 'info' : 'debug']({ uri, keys }, message)
    },
    keysFailed({ uri, error }) {
      // The gateway tries again with each token: an outage is logged once.
      const level = keyProblems.isNew(uri) ? 'warn' : 'debug'
      log[level]({ uri, err: error }, 'issuer’s keys not read: the last good ones stay')
    },
  }
}
