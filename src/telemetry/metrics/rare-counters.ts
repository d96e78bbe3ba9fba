// Events that are rare enough for the classes of prom-client, which are slow.
import { Counter, Gauge, type Registry } from 'prom-client'

export function createRareCounters(registry: Registry) {
  const registers = [registry]
  const counter = <Label extends string = never>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter<Label>({ name, help, labelNames, registers })
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })

  return {
    upgrades: counter(
      'strangler_upgrades_total',
      'Connections that were switched to another protocol, such as WebSocket.',
    ),
    upgradesOpen: gauge('strangler_upgrades_open', 'Switched connections that are open now.'),
    answered: counter(
      'strangler_answered_here_total',
      'Requests that the gateway (OPTIONS) or a middleware of their route answered, and that no upstream received.',
      'by',
    ),
    flagReads: counter('strangler_flag_reads_total', 'Times that flags were read and taken into use.'),
    flagFailures: counter('strangler_flag_failures_total', 'Failed attempts to read, keep or count the flags.'),
    reloads: counter('strangler_config_reloads_total', 'Configurations that were read, by result.', 'result'),
    edition: gauge(
      'strangler_config_edition',
      'Number of the config that routes new requests: raised by every edit that is applied.',
    ),
    generation: gauge(
      'strangler_state_generation',
      'Generation of the shared state that decides new requests; a fleet has converged when all have the same.',
    ),
    changes: counter(
      'strangler_changes_total',
      'Changes that operators requested, by verb and result.',
      'verb',
      'result',
    ),
    ejections: counter('strangler_ejections_total', 'Times that an address of an upstream was ejected.', 'upstream'),
    openFilesExhausted: counter(
      'strangler_open_files_exhausted_total',
      'Without a file descriptor: connections that could not be opened (connect), and seconds in which none could be accepted (accept).',
      'during',
    ),
    bugs: counter('strangler_bugs_total', 'Internal errors of the gateway; zero on a healthy day.'),
  }
}
