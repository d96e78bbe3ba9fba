// Checks the language of messages, comments and documents for the habits that make a sentence hard to read. Part of `npm run lint`;
// biome checks identifiers (lint/identifiers.grit). `node scripts/check-language.ts [file or folder]...` checks these alone.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

type Habit = { readonly pattern: RegExp; readonly advice: string; readonly inMarkdown?: boolean }

const HABITS: readonly Habit[] = [
  { pattern: /\bwho(?:m?ever|so)\b/i, advice: 'name the person or the program: "the caller", "the slow client"' },
  { pattern: /\b(?:is|are) none\b/i, advice: 'write "is not", or say that there is nothing' },
  {
    pattern:
      /(?:^|[.:;] |[/*] |['"`(|] ?)(?:What|Who) [^.?]*\b(?:is|are|was|were|has|have|does|do|can|may|must)\b(?![^.]*\?)/,
    advice: 'name the thing instead of beginning with "What ... is"',
  },
]
/** Characters of a Markdown line; tables, and lines of one long link, are excepted. */
const MARKDOWN_LINE = 140

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', ...process.argv.slice(2)], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => /\.(?:ts|js|md|sh|ya?ml)$/.test(file) && !isExcepted(file))

const problems = files.flatMap((file) => {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line, index) =>
    adviceFor(file, line).map((advice) => `${file}:${index + 1}: ${advice}\n    ${line.trim()}`),
  )
})
for (const problem of problems) console.error(problem)
if (problems.length > 0) console.error(`${problems.length} lines to rewrite`)
process.exitCode = problems.length > 0 ? 1 : 0

function adviceFor(file: string, line: string): string[] {
  const advice = HABITS.filter(({ pattern }) => pattern.test(line)).map(({ advice }) => advice)
  const isTable = /^\s*\|/.test(line)
  if (file.endsWith('.md') && !isTable && line.length > MARKDOWN_LINE && !/^\S*\[[^\]]*\]\(\S+\)\S*$/.test(line))
    advice.push(`a Markdown line has at most ${MARKDOWN_LINE} characters (${line.length})`)
  return advice
}

/** Results that a program writes, text of other projects, and this file. */
function isExcepted(file: string): boolean {
  return /RESULTS\.md$|^test\/kit\/(?:unleash|previous)\/|^NOTICE|^scripts\/check-language\.ts$/.test(file)
}
