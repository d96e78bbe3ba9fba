// How far something is that takes long: a bar where somebody looks, a line now and then where a log is kept. It goes to
// standard error, as standard output may be the report.
import { showDuration } from './durations.ts'
import { count } from './print.ts'

export type Progressing = {
  /** How much is done, from 0 to 1, and how much was when this began. */
  readonly share: number
  readonly shareAtStart: number
  readonly replayed: number
  readonly failed: number
  /** The share that matches; undefined before anything can be said. */
  readonly matching: number | undefined
  readonly elapsedMs: number
}

const BAR_WIDTH = 20

/** `[########------------] 43 %  1234 requests, 98.7 % match  about 3 min left` */
export function progressLine(progressing: Progressing): string {
  const { share, replayed, failed, matching } = progressing
  const filled = Math.floor(share * BAR_WIDTH)
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %`
  const facts = [
    count(replayed, 'request'),
    ...(matching === undefined ? [] : [`${Math.floor(matching * 1000) / 10} % match`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ]
  return [bar, facts.join(', '), timeLeft(progressing)].filter((part) => part !== '').join('  ')
}

/** By the pace until now; nothing while that says nothing. */
function timeLeft({ share, shareAtStart, elapsedMs }: Progressing): string {
  const done = share - shareAtStart
  if (elapsedMs < 2000 || done <= 0 || share >= 1) return ''
  return `about ${showDuration((elapsedMs / done) * (1 - share))} left`
}

const REDRAW_MS = 250
const LINE_MS = 5000

/** @returns ends it, and clears the bar */
export function showProgress(read: () => Progressing, to: NodeJS.WriteStream = process.stderr): () => void {
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
