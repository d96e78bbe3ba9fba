// Shows the progress of a replay: a bar in a terminal, else a line every few seconds. It is written to standard error, because
// standard output may contain the report.
import { showDuration } from './durations.ts'
import { countNoun } from './print.ts'

type ReplayProgress = {
  /** The share that is done, from 0 to 1, now and at the start of this process. */
  readonly share: number
  readonly shareAtStart: number
  readonly replayed: number
  readonly failed: number
  /** The share that matches; undefined before the first comparison. */
  readonly matching: number | undefined
  readonly elapsedMs: number
}

const BAR_WIDTH = 20

/** `[########------------] 43 %  1234 requests, 98.7 % match  about 3 min left` */
export function progressLine(progressing: ReplayProgress): string {
  const { share, replayed, failed, matching } = progressing
  const filled = Math.floor(share * BAR_WIDTH)
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %`
  const facts = [
    countNoun(replayed, 'request'),
    ...(matching === undefined ? [] : [`${Math.floor(matching * 1000) / 10} % match`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ]
  return [bar, facts.join(', '), timeLeft(progressing)].filter((part) => part !== '').join('  ')
}

/** Estimated by the pace of this process; empty during its first two seconds. */
function timeLeft({ share, shareAtStart, elapsedMs }: ReplayProgress): string {
  const progress = share - shareAtStart
  if (elapsedMs < 2000 || progress <= 0 || share >= 1) return ''
  return `about ${showDuration((elapsedMs / progress) * (1 - share))} left`
}

const REDRAW_MS = 250
const LINE_MS = 5000

/** @returns a function that stops the output and clears the bar */
export function showProgress(read: () => ReplayProgress, to: NodeJS.WriteStream = process.stderr): () => void {
  const isTerminal = to.isTTY === true
  const draw = () => {
    const line = progressLine(read())
    to.write(isTerminal ? `\r\x1b[2K${line.slice(0, (to.columns ?? 80) - 1)}` : `${line}\n`)
  }
  const timer = setInterval(draw, isTerminal ? REDRAW_MS : LINE_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    if (isTerminal) to.write('\r\x1b[2K')
  }
}
