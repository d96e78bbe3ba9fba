import { expect, test } from 'vitest'
import { requestFacts } from '../facts.test-kit.ts'
import { AccessLog } from './access-log.ts'
import type { LineSink } from './line-file.ts'
import { createLog } from './log.ts'

function sink(): { to: LineSink; text: () => string } {
  let written = ''
  const write = (line: string) => {
    written += line
  }
  return { to: { write }, text: () => written }
}

const noon = new Date(2026, 0, 1, 12, 0, 1, 123).getTime()
const clock = { now: () => 0, wallTime: () => noon }

test('the pretty access log has one sentence for each request', () => {
  const { to, text } = sink()
  const log = new AccessLog(to, clock, true)
  log.request(requestFacts())
  log.request(requestFacts({ context: null, decision: { side: 'legacy', reason: 'unowned' } }))
  log.request(requestFacts({ outcome: { fallbackCause: 'connect-refused' } }))
  expect(text()).toBe(
    [
      '12:00:01.123 GET /products/7 200 catalog→service flag-on 3.1 ms (gateway 0.2)\n',
      '12:00:01.123 GET /products/7 200 monolith→legacy unowned 3.1 ms (gateway 0.2)\n',
      '12:00:01.123 GET /products/7 200 catalog→service flag-on fell back after connect-refused 3.1 ms (gateway 0.2)\n',
    ].join(''),
  )
})

test('the pretty logs contain no control character that a client sent', () => {
  const { to, text } = sink()
  new AccessLog(to, clock, true).request(requestFacts({ head: { path: '/\x1b[2J\r\n\x9b1m' } }))
  createLog(to, 'info', true).warn({ peer: '\x1b[2J' }, 'refused \x1b]0;owned\x07')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
  expect(text().replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f]/)
  expect(text().split('\n')).toHaveLength(3)
})
