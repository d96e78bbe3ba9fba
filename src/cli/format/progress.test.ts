import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { progressLine, showProgress } from './progress.ts'

const HALF = { share: 0.5, shareAtStart: 0.25, replayed: 1234, failed: 0, matching: 0.98765, elapsedMs: 60_000 }

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('the progress line contains the share, the results and the remaining time', () => {
  expect(progressLine(HALF)).toBe('[##########----------] 50 %  1234 requests, 98.7 % match  about 2 min left')
  const begun = { ...HALF, share: 0, shareAtStart: 0, replayed: 1, matching: undefined, failed: 1, elapsedMs: 10 }
  expect(progressLine(begun)).toBe('[--------------------] 0 %  1 request, 1 failed')
})

function shown(isTTY: boolean): string {
  const pieces: string[] = []
  const to = { isTTY, columns: 40, write: (more: string) => void pieces.push(more) } as unknown as NodeJS.WriteStream
  const end = showProgress(() => HALF, to)
  vi.advanceTimersByTime(10_000)
  end()
  vi.advanceTimersByTime(10_000)
  return pieces.join('')
}

it('in a terminal the bar is redrawn, and is removed at the end', () => {
  const drawn = shown(true).split('\r\x1b[2K').slice(1)
  expect(drawn).toHaveLength(41)
  expect(drawn[0]).toBe('[##########----------] 50 %  1234 reque')
  expect(drawn.at(-1)).toBe('')
})

it('in a log there is a line every few seconds', () => {
  expect(shown(false)).toBe(`${progressLine(HALF)}\n`.repeat(2))
})
