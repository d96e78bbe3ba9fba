// The events of the shared state, its store and the state folder.
import type { Events } from '../events.ts'
import type { Sinks } from './sinks.ts'

type StateEvents = Pick<
  Events,
  | 'stateApplied'
  | 'changeFinished'
  | 'storeDisconnected'
  | 'storeReconnected'
  | 'storeRestored'
  | 'storeFailed'
  | 'stateFolderLost'
  | 'stateFolderFailed'
  | 'stateFolderRecovered'
  | 'stateFolderOpen'
  | 'stateNotSaved'
  | 'killFileRefused'
>

export function createStateEvents({ metrics, log }: Sinks): StateEvents {
  return {
    stateApplied(facts) {
      metrics.stateApplied(facts.generation)
      log.info(facts, 'shared state applied')
    },
    changeFinished(facts) {
      metrics.changeFinished(facts.verb, facts.result)
      log[facts.result === 'done' ? 'info' : 'warn'](facts, `${facts.verb} ${facts.context ?? 'everything'}`)
    },
    storeDisconnected: (facts) => log.warn(facts, 'store cannot be reached: the last state stays'),
    storeReconnected: (facts) => log.info(facts, 'store reached again'),
    storeRestored: (facts) => log.warn(facts, 'store had lost its state: this gateway has restored it'),
    storeFailed: ({ location, error }) => log.error({ location, err: error }, 'store has a problem'),
    stateFolderLost: (facts) =>
      log.warn(
        facts,
        'state folder is empty, though a gateway of this name has run before: keep the folder in a volume',
      ),
    stateFolderFailed: ({ folder, error }) =>
      log.error(
        { folder, err: error },
        `state folder ${folder} cannot be written: free space, or make it writable; the gateway keeps serving`,
      ),
    stateFolderRecovered: (facts) => log.info(facts, 'state folder can be written again'),
    stateFolderOpen: (facts) =>
      log.warn(
        facts,
        `other users can write to the state folder ${facts.folder} (mode ${facts.mode}), and so change what the gateway does: run chmod 700 ${facts.folder}`,
      ),
    stateNotSaved: ({ file, error }) =>
      log.warn({ file, err: error }, 'state cannot be written: it will not outlive this process'),
    killFileRefused({ problem }) {
      if (problem === undefined) log.info({}, 'kill file is valid or absent again')
      else log.error({ problem }, 'kill file refused: the former state stays in force')
    },
  }
}
