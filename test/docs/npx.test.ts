// In a folder without the package, `npx strangler` downloads and runs a package of another author with that name.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const documents = ['README.md', 'CONTRIBUTING.md', ...readdirSync(new URL('docs', ROOT)).map((name) => `docs/${name}`)]

it('no document and no message of npm start runs npx without --no, which would download a package of another author', () => {
  const files = [...documents.filter((name) => name.endsWith('.md')), 'scripts/start/terminal.ts']
  const lines = files.flatMap((file) =>
    readFileSync(new URL(file, ROOT), 'utf8')
      .split('\n')
      .map((line, index) => `${file}:${index + 1}: ${line}`),
  )
  expect(lines.filter((line) => /npx (?!--no )(?:[\w-]+ )*strangler(?!-)/.test(line))).toEqual([])
})
