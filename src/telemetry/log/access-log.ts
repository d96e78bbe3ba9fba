// The access log: one line a request, through pino, to a file, to stdout or nowhere.
import { pino } from 'pino'
import { isColorSupported, prettyFactory } from 'pino-pretty'
import { FAILURES } from '../../model/failures.ts'
import type { Clock } from '../../model/ports.ts'
import type { AnswerFacts, RefusalFacts, RequestFacts } from '../events.ts'
import { answerFields, refusalFields, requestFields } from './access-line.ts'
import type { LineFile } from './line-file.ts'
import { parsePrintable } from './log.ts'

export type AccessLog = {
  readonly request: (facts: RequestFacts) => void
  readonly answer: (facts: AnswerFacts) => void
  readonly refusal: (facts: RefusalFacts) => void
}

/** A line in pino's eyes holds nothing but its level and what `timestamp` returns. */
const NOTHING_MORE = {}

export function createAccessLog(to: LineFile, clock: Clock, pretty: boolean): AccessLog {
  // pino asks `timestamp` for a piece of JSON to begin the line with. Ours is the whole line: pino keeps level,
  // destination and format, and its generic walk over the fields (2 to 3 µs) is not needed.
  let fields = ''
  const log = pino(
    { base: null, timestamp: () => fields, formatters: { level: (label) => ({ level: label }) } },
    { write: pretty ? (line) => to.write(forPeople(line)) : to.write },
  )

  return {
    request(facts) {
      fields = requestFields(facts, clock.wallTime())
      const { failure } = facts.outcome
      if (failure !== undefined && FAILURES[failure].blame !== 'client') log.warn(NOTHING_MORE)
      else log.info(NOTHING_MORE)
    },
    answer(facts) {
      fields = answerFields(facts, clock.wallTime())
      log.info(NOTHING_MORE)
    },
    refusal(facts) {
      fields = refusalFields(facts, FAILURES[facts.failure].status, clock.wallTime())
      log.info(NOTHING_MORE)
    },
  }
}

const prettyLine = prettyFactory({
  colorize: isColorSupported,
  hideObject: true,
  // The sentence says the time itself, without the punctuation that pino-pretty puts around it.
  timestampKey: 'none',
  customPrettifiers: { level: () => '' },
  messageFormat: (line) => sentence(line as AccessLine),
})

function forPeople(line: string): string {
  return prettyLine(parsePrintable(line))
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

/** `12:00:01.123 GET /products 200 catalog→service flag-on 3.1 ms (gateway 0.2)` */
function sentence(line: AccessLine): string {
  const parts = [timeOfDay(Number(line.time)), line.method ?? '-', line.path ?? '-', line.status]
  if (line.side !== undefined) parts.push(`${line.context ?? 'monolith'}→${line.side}`, line.reason)
  if (line.failure !== undefined) parts.push(line.failure)
  if (line.fellBack !== undefined) parts.push(`fell back after ${line.fellBack}`)
  if (line.error !== undefined) parts.push(`(${line.error})`)
  parts.push(`${tenths(line.durationMs)} ms`)
  if (line.overheadMs !== undefined) parts.push(`(gateway ${tenths(line.overheadMs)})`)
  return parts.join(' ')
}

function tenths(ms: string | number | undefined): string {
  return Number(ms ?? 0).toFixed(1)
}

function timeOfDay(epochMs: number): string {
  const at = new Date(epochMs)
  const two = (part: number) => String(part).padStart(2, '0')
  const thousandths = String(at.getMilliseconds()).padStart(3, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${thousandths}`
}
