import { expect, it } from 'vitest'
import type { Field, Masked } from '../model/comparison.ts'
import { NO_COUNTS } from '../model/comparison-counts.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { makeReport } from './report.ts'
import { toMarkdown } from './report-markdown.ts'

const TOLD = {
  recording: { file: 'a.har', format: 'har', bytes: 1200, sha256: 'ab'.repeat(32) } as const,
  legacy: ['http://127.0.0.1:3000'],
  services: { new: ['http://127.0.0.1:3001'] },
  withCredentials: false,
  owners: new Map([['catalog', 'team-a']]),
  finishedAt: 1000,
  failUnder: undefined,
}

function progressOf(more: Partial<Progress['routes'][number]>): Progress {
  const route = {
    context: 'catalog',
    route: 'GET /products/:id',
    counts: NO_COUNTS,
    statuses: {},
    examples: [],
    ...more,
  }
  return { ...NO_PROGRESS, startedAt: 0, routes: [route] }
}

it('the Markdown report escapes values of responses', () => {
  const field: Field = 'value $["a|b`c"]'
  const counts = {
    ...NO_COUNTS,
    differing: { [field]: 1 },
    fields: { [field]: { sides: 1, self: 0, firstSeen: 0, lastSeen: 0 } },
  }
  const value = '``| <script>\u2028\u202e' as Masked
  const example = { field, at: 1, method: 'GET', target: '/p|q' as Masked, legacy: value, service: null }
  const text = toMarkdown(makeReport(progressOf({ counts, examples: [example] }), TOLD))
  const row = text.split('\n').find((line) => line.startsWith('| inconclusive |'))!
  expect(row).toBe(
    '| inconclusive | `` $["a\\|b`c"] `` | the value differs | 1 | 0 | `` \'\'\\| <script>\\u2028\\u202e `` |  | `GET /p\\|q` |',
  )
})

it('the Markdown report never rounds up to 100 %', () => {
  const counts = { ...NO_COUNTS, matched: 99_999, differing: { '*': 1 } }
  const text = toMarkdown(makeReport(progressOf({ counts }), { ...TOLD, failUnder: 0.99 }))
  expect(text).toContain('**Passed:** 99.99 % match, with 1 inconclusive counted against it; 99 % is asked for.')
})

it('the report notes reasons why its numbers are weak evidence', () => {
  const { notes } = makeReport(progressOf({ statuses: { 200: 10, 401: 30, 302: 50, 304: 3 } }), TOLD)
  expect(notes.join('\n')).toMatch(/refused 30 of 93 .*\n.*redirected 50 of 93/)
  expect(makeReport(progressOf({ statuses: { 200: 99, 401: 1, 304: 100 } }), TOLD).notes).toEqual([])
})
