import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatMistakes, type Mistake } from '../mistake.ts'
import { loadConfig } from './load.ts'

const GOOD = `{ legacy: { url: 'http://127.0.0.1:3000' } }`
const PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strangler-config-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function write(name: string, source: string): Promise<string> {
  const file = join(folder, name)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, source)
  return file
}

async function load(name: string, source: string) {
  return loadConfig(await write(name, source))
}

async function mistakesOf(name: string, source: string): Promise<string> {
  const loaded = await load(name, source)
  return loaded.ok ? 'none' : formatMistakes(loaded.mistakes).replaceAll(`${folder}/`, '')
}

describe('a config file', () => {
  test.each([
    ['good.ts', `export default ${GOOD} as object`],
    ['good.mts', `export default ${GOOD} satisfies object`],
    ['good.mjs', `export default ${GOOD}`],
    ['good.js', `export default ${GOOD}`],
    ['good.cjs', `module.exports = ${GOOD}`],
    ['compiled.cjs', `Object.defineProperty(exports, '__esModule', { value: true }); exports.default = ${GOOD}`],
    ['good.json', '\ufeff{ "legacy": { "url": "http://127.0.0.1:3000" } }'],
    ['awaits.mjs', `export default await Promise.resolve(${GOOD})`],
    ['with space & 100%.mjs', `export default ${GOOD}`],
  ])('may be written as %s', async (name, source) => {
    expect(await load(name, source)).toMatchObject({
      ok: true,
      config: { legacy: { urls: ['http://127.0.0.1:3000'] } },
    })
  })

  test.each(['again.ts', 'again.mjs', 'again.cjs', 'again.json'])('is read anew each time: %s', async (name) => {
    const write = (port: number) => {
      const json = `{ "legacy": { "url": "http://127.0.0.1:${port}" } }`
      return name.endsWith('json') ? json : `${name.endsWith('cjs') ? 'module.exports =' : 'export default'} ${json}`
    }
    for (const port of [3000, 3001, 3002]) {
      expect(await load(name, write(port))).toMatchObject({
        config: { legacy: { urls: [`http://127.0.0.1:${port}`] } },
      })
    }
  })
})

/**
 * The test runner's own import explains errors in its own words, so these are loaded by Node, as a gateway does it.
 * One process for all of them.
 */
async function mistakesInNode(files: readonly string[]): Promise<string[]> {
  const script = `
    const { loadConfig } = await import(${JSON.stringify(new URL('./load.ts', import.meta.url).href)})
    const mistakes = []
    for (const file of JSON.parse(process.argv[1])) {
      const loaded = await loadConfig(file)
      mistakes.push(loaded.ok ? [] : loaded.mistakes)
    }
    console.log(JSON.stringify(mistakes))`
  const args = ['--input-type=module', '--eval', script, JSON.stringify(files.map((file) => join(folder, file)))]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args)
  expect(stderr).toBe('')
  const mistakesByFile: Mistake[][] = JSON.parse(stdout)
  return mistakesByFile.map((mistakes) => formatMistakes(mistakes).replaceAll(`${folder}/`, ''))
}

describe('a config file that does not load says why', () => {
  const table: [name: string, source: string, expected: string][] = [
    ['syntax.ts', 'export default {\n  a: 1,\n  b: ]\n}', 'syntax.ts:3: is not valid TypeScript: Expression expected'],
    [
      'syntax.mjs',
      'export default {\n  a: 1,\n  b: ]\n}',
      "syntax.mjs:3: is not valid JavaScript: Unexpected token ']'",
    ],
    ['syntax.cjs', 'module.exports = {\n  b: ]\n}', "syntax.cjs:2: is not valid JavaScript: Unexpected token ']'"],
    ['syntax.json', '{ "a": 1,\n  "b": ] }', "syntax.json:2: is not valid JSON: Unexpected token ']'"],
    ['position.json', '{ "a": 1,\n\n  "b" 2 }', "position.json:3: is not valid JSON: Expected ':' after property name"],
    ['empty.json', '', 'empty.json:1: is not valid JSON: Unexpected end of JSON input'],
    [
      'enum.ts',
      'const a = 1\nenum A { B }\nexport default A',
      'enum.ts:2: uses TypeScript that Node cannot run as it is',
    ],
    [
      'thrown.ts',
      'const a = 1\nfunction f() { throw new Error("boom") }\nf()',
      'thrown.ts:2: threw an error while it was loaded: Error: boom',
    ],
    ['text.mjs', 'throw "a text"', 'text.mjs: threw a value that is not an Error while it was loaded: a text'],
    [
      'nothing.mjs',
      'throw undefined',
      'nothing.mjs: threw a value that is not an Error while it was loaded: undefined',
    ],
    [
      'named.mjs',
      `export const config = ${GOOD}`,
      'named.mjs: has no default export; write "export default defineRoutes({ … })"',
    ],
    [
      'package.mjs',
      'import a from "no-such-package"\nexport default a',
      "package.mjs: imports a module that does not exist: Cannot find package 'no-such-package'",
    ],
    ['module.ts', 'import a from "./no.ts"\nexport default a', 'module.ts: imports a module that does not exist'],
    ['helped.ts', 'import a from "./helper.ts"\nexport default a', 'helper.ts:2: is not valid TypeScript'],
    [
      'member.ts',
      'import { no } from "./named.mjs"\nexport default no',
      "member.ts:1: is not valid TypeScript: The requested module './named.mjs' does not provide an export named 'no'",
    ],
    [
      'node_modules/shop/routes.config.ts',
      `export default ${GOOD}`,
      'node_modules/shop/routes.config.ts: is TypeScript under node_modules, which Node does not run',
    ],
    ['routes.yaml', 'legacy: {}', 'routes.yaml: has an unknown extension; write the config as .ts'],
    ['invalid.mjs', 'export default { legacy: 3 }', 'legacy: must be an object such as'],
    ['function.mjs', 'export default () => ({})', 'must be an object; its keys: legacy'],
    ['folder.json/file', '', 'folder.json: is a folder; name a file in it'],
  ]
  let messages: string[]
  beforeAll(async () => {
    await write('helper.ts', 'export default {\n  a: ]\n}')
    for (const [name, source] of table) await write(name, source)
    messages = await mistakesInNode(table.map(([name]) => name.replace(/\/file$/, '')))
  })

  test.each(table.map(([name], index) => [name, index] as const))('%s', (_, index) => {
    expect(messages[index]).toContain(table[index]![2])
  })

  test('and where a file is missing', async () => {
    const loaded = await loadConfig(join(folder, 'missing.ts'))
    expect(loaded.ok ? '' : formatMistakes(loaded.mistakes)).toContain(
      'does not exist; create it, or name another file with --config',
    )
  })

  test('and quotes nothing of a JSON file: it may be part of a key', async () => {
    for (const source of ['{ "key": "hunter2" "x" ]', '{ "key": hunter2 }', '"hunter2', '{ "key": "hunter2\n" }']) {
      expect(await mistakesOf('secret.json', source)).not.toMatch(/hunter2|none/)
    }
  })

  test('and loads once it is mended', async () => {
    expect(await mistakesOf('mended.json', '{')).toContain('mended.json:1: is not valid JSON')
    expect(await mistakesOf('mended.json', '{ "legacy": { "url": "http://a" } }')).toBe('none')
  })
})

describe('TLS files', () => {
  const withTls = (tls: string) => `{ "legacy": { "url": "https://a", "tls": ${tls} } }`

  test('are read from beside the config', async () => {
    await mkdir(join(folder, 'tls/certs'), { recursive: true })
    await writeFile(join(folder, 'tls/certs/ca.pem'), PEM)
    expect(await load('tls/routes.json', withTls('{ "ca": "certs/ca.pem" }'))).toMatchObject({
      config: { legacy: { tls: { ca: PEM, rejectUnauthorized: true } } },
    })
  })

  test('may be in the config as text', async () => {
    expect(await load('text.json', withTls(`{ "ca": ${JSON.stringify(PEM)} }`))).toMatchObject({
      config: { legacy: { tls: { ca: PEM } } },
    })
  })

  test('that cannot be read are mistakes, all at once', async () => {
    await writeFile(join(folder, 'not.pem'), 'AAAA')
    const mistakes = await mistakesOf(
      'unreadable.json',
      withTls('{ "ca": "no.pem", "cert": "not.pem", "key": "no.key" }'),
    )
    expect(mistakes.split('\n')).toEqual([
      expect.stringContaining('legacy.tls.ca: cannot be read (ENOENT)'),
      expect.stringContaining('legacy.tls.cert: is a file without PEM text'),
      expect.stringContaining('legacy.tls.key: cannot be read (ENOENT)'),
    ])
  })

  test('a key that is pasted in another encoding is not taken for a path and shown', async () => {
    const key = 'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg'
    const mistakes = await mistakesOf('pasted.json', withTls(`{ "cert": ${JSON.stringify(PEM)}, "key": "${key}" }`))
    expect(mistakes).toContain('legacy.tls.key: cannot be read')
    expect(mistakes).not.toContain(key)
  })
})

test('a file that is replaced by another is the other', async () => {
  await load('replaced.mjs', `export default ${GOOD}`)
  await writeFile(join(folder, 'next.mjs'), `export default { legacy: { url: 'http://b' } }`)
  await rename(join(folder, 'next.mjs'), join(folder, 'replaced.mjs'))
  expect(await loadConfig(join(folder, 'replaced.mjs'))).toMatchObject({ config: { legacy: { urls: ['http://b'] } } })
})
