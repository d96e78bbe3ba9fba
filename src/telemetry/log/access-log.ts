// The access log: one line for each request, through pino, to a file, to stdout or nowhere.
import { type Logger, pino } from 'pino'
import { isColorSupported, prettyFactory } from 'pino-pretty'
import { FAILURES } from '../../model/failures.ts'
import type { Clock } from '../../model/ports.ts'
import type { AnswerFacts, RefusalFacts, RequestFacts } from '../events.ts'
import { answerFields, refusalFields, requestFields } from './access-line.ts'
import type { LineSink } from './line-file.ts'
import { parsePrintable } from './log.ts'

/** The object that pino logs: all fields come from `timestamp`. */
const NO_FIELDS = {}

export class AccessLog {
  readonly #clock: Clock
  readonly #log: Logger
  #fields = ''

  /** @param pretty sentences instead of JSON */
  constructor(sink: LineSink, clock: Clock, pretty: boolean) {
    this.#clock = clock
    // pino calls `timestamp` for the JSON with which a line begins. Here it returns all fields: pino adds the level and writes
    // the line, and its generic walk over the fields (2 to 3 µs) is avoided.
    this.#log = pino(
      { base: null, timestamp: () => this.#fields, formatters: { level: (label) => ({ level: label }) } },
      pretty ? { write: (line) => sink.write(formatSentence(line)) } : sink,
    )
  }

  request(facts: RequestFacts): void {
    this.#fields = requestFields(facts, this.#clock.wallTime())
    const { failure } = facts.outcome
    if (failure !== undefined && FAILURES[failure].blame !== 'client') this.#log.warn(NO_FIELDS)
    else this.#log.info(NO_FIELDS)
  }

  answer(facts: AnswerFacts): void {
    this.#fields = answerFields(facts, this.#clock.wallTime())
    this.#log.info(NO_FIELDS)
  }

  refusal(facts: RefusalFacts): void {
    this.#fields = refusalFields(facts, FAILURES[facts.failure].status, this.#clock.wallTime())
    this.#log.info(NO_FIELDS)
  }
}

type AccessLine = Partial<
  Record<
    | 'time'
    | 'method'
    | 'path'
    | 'status'
    | 'context'
    | 'side'
    | 'reason'
    | 'failure'
    | 'fellBack'
    | 'error'
    | 'durationMs'
    | 'overheadMs',
    string | number
  >
>

const prettyLine = prettyFactory({
  colorize: isColorSupported,
  hideObject: true,
  // The sentence contains the time, without the punctuation that pino-pretty adds.
  timestampKey: 'none',
  customPrettifiers: { level: () => '' },
  messageFormat: (line) => describeRequest(line as AccessLine),
})

function formatSentence(line: string): string {
  return prettyLine(parsePrintable(line))
}

/** `12:00:01.123 GET /products 200 catalog→service flag-on 3.1 ms (gateway 0.2)` */
function describeRequest(line: AccessLine): string {
  const parts = [formatTime(Number(line.time)), line.method ?? '-', line.path ?? '-', line.status]
  if (line.side !== undefined) parts.push(`${line.context ?? 'monolith'}→${line.side}`, line.reason)
  if (line.failure !== undefined) parts.push(line.failure)
  if (line.fellBack !== undefined) parts.push(`fell back after ${line.fellBack}`)
  if (line.error !== undefined) parts.push(`(${line.error})`)
  parts.push(`${formatTenths(line.durationMs)} ms`)
  if (line.overheadMs !== undefined) parts.push(`(gateway ${formatTenths(line.overheadMs)})`)
  return parts.join(' ')
}

function formatTenths(ms: string | number | undefined): string {
  return Number(ms ?? 0).toFixed(1)
}

function formatTime(epochMs: number): string {
  const date = new Date(epochMs)
  const twoDigits = (part: number) => String(part).padStart(2, '0')
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0')
  return `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}:${twoDigits(date.getSeconds())}.${milliseconds}`
}
