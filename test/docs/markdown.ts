// The parts of Markdown that the tests of the documents read: fences, headings, tables, links.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '../..')

export type Document = { readonly path: string; readonly text: string }

export type Fence = { readonly language: string; readonly code: string }

/** Every document of the project, by its path from the top. */
export function documents(): Document[] {
  const folders = ['docs', 'bench', 'legacy-monolith', 'extracted-services']
  const deep = folders.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true }))
  return [...readdirSync(ROOT, { withFileTypes: true }), ...deep]
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes('node_modules'))
    .map((path) => ({ path, text: read(path) }))
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function fences(text: string): Fence[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({ language, code }))
}

export function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '')
}

/** Heading lines without their marks. */
export function headings(text: string): string[] {
  return [...withoutFences(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, title = '']) => title)
}

/** The text under the first heading that contains these words, up to the next heading. */
export function section(text: string, words: string): string {
  const lines = text.split('\n')
  const start = lines.findIndex((line) => /^#{1,6} /.test(line) && line.includes(words))
  if (start < 0) throw new Error(`no heading contains "${words}"`)
  let isFenced = false
  const length = lines.slice(start + 1).findIndex((line) => {
    if (line.startsWith('```')) isFenced = !isFenced
    return !isFenced && /^#{1,6} /.test(line)
  })
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n')
}

/** The rows of the first table under a heading, without its head. */
export function table(text: string, words: string): string[][] {
  const rows = section(text, words)
    .split('\n')
    .filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** The parts of a cell in backticks. */
export function codes(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
}

/** The targets of the links to files of this project. */
export function relativeLinks(text: string): string[] {
  return [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
}

/** The anchors of a text, as GitHub generates them. */
export function anchors(text: string): string[] {
  return headings(text).map((title) =>
    title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/**
 * Lines as a person reads them: without the space at either end, in which terminals and tools differ, and without how
 * long something took.
 */
export function lines(text: string): string[] {
  return text
    .trim()
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/ +/g, ' ')
        .replace(/\b\d+ ms\b/g, 'N ms'),
    )
}
