// The pages that follow a flip and a comparison name the calls of the code. (examples.test.ts compares the page of a request.)
import { describe, expect, it } from 'vitest'
import { codes, headings, read, section } from './markdown.ts'

/** Calls of one function of the code, in their order: a page that names some of them names them in this order. */
const SEQUENCES: Readonly<Record<string, readonly { readonly file: string; readonly start: string }[]>> = {
  'docs/life-of-a-flip.md': [{ file: 'src/control/execute-change.ts', start: 'async #flip(' }],
  'docs/life-of-a-comparison.md': [{ file: 'src/shadow/worker/job-runner.ts', start: '  #compare(' }],
}

describe.each(Object.keys(SEQUENCES))('%s', (page) => {
  const steps = headings(read(page)).filter((title) => /^\d+\. /.test(title))

  it('names in each step functions of a file that the step links to', () => {
    expect(steps.length).toBeGreaterThan(8)
    const missing = steps.flatMap((step) => {
      const files = [...section(read(page), step).matchAll(/\]\(\.\.\/(src\/[^)]+\.ts)\)/g)].map(
        ([, file = '']) => file,
      )
      const sources = files.map(read).join('\n')
      return codes(step)
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(sources))
        .map((name) => `${step}: ${name}`)
    })
    expect(missing).toEqual([])
  })

  it('names the calls of the code in their order', () => {
    for (const { file, start } of SEQUENCES[page] ?? []) {
      const source = read(file)
      const begin = source.indexOf(start)
      const body = source.slice(begin, source.indexOf('\n  }\n', begin))
      const positions = steps
        .flatMap(codes)
        .map((name) => body.search(new RegExp(`[.#]${name}\\(|\\b${name}\\(`)))
        .filter((position) => position >= 0)
      expect(positions.length).toBeGreaterThan(2)
      expect(positions).toEqual(positions.toSorted((first, second) => first - second))
    }
  })
})
