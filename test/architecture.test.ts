// Asserts the import table of docs/architecture.md, type imports included, and the limits of files and functions.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
const SRC = join(ROOT, 'src')

/** Each module and the modules, folders or single files that it may import beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  lib: [],
  telemetry: ['model', 'lib'],
  store: ['model', 'lib'],
  auth: ['model', 'lib', 'telemetry'],
  // The rules of comparing are part of the map: their parser reports mistakes, which `check` lists.
  config: ['model', 'lib', 'shadow/compare/rules.ts'],
  proxy: ['model', 'lib', 'auth', 'telemetry'],
  shadow: ['model', 'lib', 'telemetry'],
  control: ['model', 'lib', 'telemetry'],
  admin: ['model', 'lib', 'auth', 'telemetry', 'control/control.ts'],
  // It routes as the proxy does, and compares as the shadow does.
  replay: ['model', 'lib', 'proxy', 'shadow', 'telemetry'],
  // The command line starts and checks a gateway, or calls one over HTTP.
  cli: ['config', 'lib', 'admin/contract', 'entry'],
  // Composition roots: the gateway, its control plane, the gateway that only explains, the one that replays a recording, and
  // the one inside an Express application.
  entry: ['lib', 'admin', 'auth', 'config', 'control', 'model', 'proxy', 'replay', 'shadow', 'store', 'telemetry'],
  'express.ts': ['entry'],
  'index.ts': ['config', 'model'],
}

/** The modules that may import each package. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  undici: ['proxy', 'shadow'],
  httpxy: ['proxy'],
  'http-proxy-middleware': ['entry'],
  jsonwebtoken: ['auth'],
  'jwks-rsa': ['auth'],
  'unleash-client': ['control'],
  'find-my-way': ['config'],
  zod: ['config', 'control', 'store', 'admin'],
  ioredis: ['store'],
  pino: ['telemetry'],
  'pino-pretty': ['telemetry'],
  'prom-client': ['telemetry', 'admin', 'entry', 'express.ts'],
  express: ['admin', 'proxy'],
  parse5: ['shadow'],
  '@rgrove/parse-xml': ['shadow'],
  re2js: ['shadow'],
}

const MAX_MEDIAN_LINES = 90
const MAX_FUNCTION_LINES = 120

const TYPE = /^(?:export )?(?:type|interface|class) (\w+)/gm
const EXPORT = /^export (?:async |abstract )*(?:function\*?|const|class|type|interface) (\w+)/gm
/** `import { a, type b as c } from`, `const { a } = await import(` and `(await import('./a.ts')).a`. */
const NAMED_IMPORT =
  /\b(?:(?:import|export)(?: type)?|const) (?:\w+, )?\{([^}]*)\}(?: from '| = (?:await import|load)\()|await import\('[^']+'\)\)\.(\w+)/g
/** The files whose exports are for the users of the package. */
const PUBLIC = ['index.ts', 'express.ts']

type Import = { readonly file: string; readonly from: string; readonly what: string }

const STATEMENT =
  /(?:^|\n)(?:import|export)\s[^'"]*?from\s+'([^']+)'|(?:^|\n)import\s+'([^']+)'|\bimport\(\s*'([^']+)'/g

const imports: Import[] = sources(SRC).flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(STATEMENT)].map(([, named, bare, late]) => ({
    file: relative(ROOT, file),
    from: moduleOf(file),
    what: named ?? bare ?? late ?? '',
  })),
)

describe('the architecture', () => {
  it('has imports in every module, so that the other tests read something', () => {
    for (const module of Object.keys(MAY_IMPORT)) {
      if (module === 'model' || module === 'lib') continue
      expect(imports.filter(({ from }) => from === module).length, module).toBeGreaterThan(0)
    }
    expect(imports.length).toBeGreaterThan(200)
  })

  it('has only modules that the table lists', () => {
    expect([...new Set(sources(SRC).map(moduleOf))].filter((module) => !(module in MAY_IMPORT))).toEqual([])
  })

  it('lets each module import only what the table allows', () => {
    const wrong = imports.flatMap(({ file, from, what }) => {
      if (!what.startsWith('.')) return []
      const target = resolve(ROOT, dirname(file), what)
      const path = relative(SRC, target)
      const isAllowed = [from, ...(MAY_IMPORT[from] ?? [])].some((part) => path === part || path.startsWith(`${part}/`))
      return isAllowed ? [] : [`${file} imports ${what}`]
    })
    expect(wrong).toEqual([])
  })

  it('has a model without imports from other modules, Node and packages', () => {
    const outside = imports.filter(({ from, what }) => from === 'model' && !what.startsWith('./'))
    expect(outside).toEqual([])
  })

  it('lets only the listed modules import a package', () => {
    const wrong = imports.flatMap(({ file, from, what }) => {
      const name = Object.keys(PACKAGES).find(
        (packageName) => what === packageName || what.startsWith(`${packageName}/`),
      )
      return name === undefined || PACKAGES[name]?.includes(from) ? [] : [`${file} imports ${what}`]
    })
    expect(wrong).toEqual([])
  })

  it('reads the environment in one file', () => {
    const readers = sources(SRC).filter((file) => /process\.env\b/.test(readFileSync(file, 'utf8')))
    expect(readers.map((file) => relative(SRC, file))).toEqual(['config/options/env.ts'])
  })

  it('does not change the path of a request after its creation, which would bypass every check', () => {
    const editors = sources(SRC).filter((file) =>
      /\b(?:proxyReq|outgoing)\.path\s*=[^=]/.test(readFileSync(file, 'utf8')),
    )
    expect(editors).toEqual([])
  })

  it('has a monolith and services that import nothing from src', () => {
    const wrong = ['legacy-monolith', 'extracted-services'].flatMap((folder) =>
      sources(join(ROOT, folder)).filter((file) => /from '(?:\.\.\/)+src\//.test(readFileSync(file, 'utf8'))),
    )
    expect(wrong).toEqual([])
  })

  it('has no import cycle, type imports included', () => {
    expect(filesInCycles()).toEqual([])
  })

  it('gives each type name one meaning', () => {
    const files = new Map<string, string[]>()
    for (const file of [...sources(SRC), ...kits(SRC)])
      for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(TYPE))
        files.set(name, [...(files.get(name) ?? []), relative(ROOT, file)])
    expect(files.size).toBeGreaterThan(500)
    expect([...files].filter(([, of]) => of.length > 1)).toEqual([])
  })

  it('exports only names that another file imports', () => {
    const texts = everyFile().map((file) => readFileSync(file, 'utf8'))
    const imported = new Set(texts.flatMap((text) => [...text.matchAll(NAMED_IMPORT)].flatMap(namesOf)))
    const unused = [...sources(SRC), ...kits(SRC)]
      .filter((file) => !PUBLIC.includes(moduleOf(file)) && !isNamespace(file, texts))
      .flatMap((file) =>
        [...readFileSync(file, 'utf8').matchAll(EXPORT)].map(([, name = '']) => `${relative(ROOT, file)} ${name}`),
      )
      .filter((entry) => !imported.has(entry.split(' ')[1] as string))
    expect(imported.size).toBeGreaterThan(500)
    expect(unused).toEqual([])
  })

  it(`has files of at most ${MAX_MEDIAN_LINES} lines in the median, and functions of at most ${MAX_FUNCTION_LINES} lines`, () => {
    const lengths = sources(SRC).map((file) => linesOf(file).length)
    expect(lengths.sort((a, b) => a - b)[Math.floor(lengths.length / 2)]).toBeLessThanOrEqual(MAX_MEDIAN_LINES)
    const functions = sources(SRC).flatMap(functionsOf)
    expect(functions.length).toBeGreaterThan(1000)
    expect(functions.filter(({ lines }) => lines > MAX_FUNCTION_LINES)).toEqual([])
  })
})

/** Every TypeScript file that is not a test. */
function sources(folder: string): string[] {
  return filesBelow(folder, /(?<!\.test|\.test-kit)\.ts$/)
}

/** The parts that tests share. */
function kits(folder: string): string[] {
  return filesBelow(folder, /\.test-kit\.ts$/)
}

/** Every file that can import something from src. */
function everyFile(): string[] {
  return ['src', 'test', 'bench', 'scripts', 'bin'].flatMap((folder) => filesBelow(join(ROOT, folder), /\.[jt]s$/))
}

function filesBelow(folder: string, name: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('node_modules'))
}

/** The names of a match of `NAMED_IMPORT`, before a renaming. */
function namesOf([, names, name]: RegExpMatchArray): string[] {
  return (names ?? name ?? '').split(',').map((name) =>
    name
      .trim()
      .replace(/^type /, '')
      .replace(/(?: as |:).*$/s, ''),
  )
}

/** Whether some file imports all of this one: `import * as` or `import()` without names. */
function isNamespace(file: string, texts: readonly string[]): boolean {
  const whole = new RegExp(`import \\* as \\w+ from '[^']*/${basename(file)}'|=> import\\('[^']*/${basename(file)}'\\)`)
  return texts.some((text) => whole.test(text))
}

/** `proxy` for src/proxy/x.ts; the file name, such as `index.ts`, for a file in src itself. */
function moduleOf(file: string): string {
  return relative(SRC, file).split('/')[0] as string
}

/** The files of which an import cycle consists, found by removing files without imports or importers until none is left. */
function filesInCycles(): string[] {
  const edges = imports
    .filter(({ what }) => what.startsWith('.'))
    .map(({ file, what }) => ({ from: file, to: relative(ROOT, resolve(ROOT, dirname(file), what)) }))
  for (let remaining = edges; ; ) {
    const [importers, targets] = [new Set(remaining.map(({ from }) => from)), new Set(remaining.map(({ to }) => to))]
    const next = remaining.filter(({ from, to }) => importers.has(to) && targets.has(from))
    if (next.length === remaining.length) return [...importers].sort()
    remaining = next
  }
}

const FUNCTION_START =
  /^ *(?:export )?(?:(?:static|async|override|get|set) )*(?:function\*? ?\w*|#?\w+)(?:<.*>)?\(|^ *(?:export )?const \w+ = .*=> \{$/
const STATEMENT_START = /^ *(?:if|for|while|switch|catch|return|await|throw|else|do|new|void|super)\b/

/** Functions and methods with their lengths: from the line of the name to the closing brace with the same indentation. */
function functionsOf(file: string): { readonly start: string; readonly lines: number }[] {
  const lines = linesOf(file)
  return lines.flatMap((line, index) => {
    if (!FUNCTION_START.test(line) || STATEMENT_START.test(line)) return []
    const indent = indentOf(line)
    const rest = lines.slice(index + 1)
    // A line such as `): Result {` ends the parameters.
    const end = rest.findIndex((next) => next !== '' && indentOf(next) <= indent && !/^ *[)}\]].*[{([]$/.test(next))
    return rest[end]?.trim() === '}' ? [{ start: `${relative(ROOT, file)}:${index + 1}`, lines: end + 2 }] : []
  })
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n')
}
