// Titles of tests and comments name attacks and faults by number; docs/security.md has one line for each number.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { codes, ROOT, read, table } from './markdown.ts'

const rows = table(read('docs/security.md'), 'Appendix: case numbers')

it('docs/security.md explains every case number that a test or a comment contains', () => {
  const files = execFileSync('git', ['ls-files', 'src', 'test'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n')
  const numbers = files
    .filter((file) => file.endsWith('.ts') && existsSync(join(ROOT, file)))
    // An escape such as %F0 in a path is not a case number.
    .flatMap((file) => read(file).match(/(?<![%\w])[BF][1-9][0-9]?\b/g) ?? [])
  const explained = rows.map(([number]) => number)
  expect([...new Set(numbers)].filter((number) => !explained.includes(number))).toEqual([])
})

it('docs/security.md names test files that exist', () => {
  const files = rows.flatMap(([, , tests]) => codes(tests))
  expect(files.length).toBeGreaterThan(50)
  expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
})
