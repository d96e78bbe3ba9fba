// The import table of docs/architecture.md, asserted: who may import whom, types included.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
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
  // It routes as the proxy does, compares as the shadow does and writes files as the store does.
  replay: ['model', 'lib', 'proxy', 'shadow', 'telemetry', 'store/replace-file.ts'],
  // The command line starts and checks a gateway, or calls one over HTTP.
  cli: ['config', 'lib', 'admin/contract', 'entry'],
  // Composition roots: the gateway, its control plane, the gateway that only explains, the one that replays a recording, and
  // the one inside an Express application.
  entry: ['lib', 'admin', 'auth', 'config', 'control', 'model', 'proxy', 'replay', 'shadow', 'store', 'telemetry'],
  'express.ts': ['entry'],
  'index.ts': ['config', 'model'],
}

/** Packages that only these modules may use: each has one job in one place. */
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
  it('is read from the sources: every module has imports', () => {
    for (const module of Object.keys(MAY_IMPORT)) {
      if (module === 'model' || module === 'lib') continue
      expect(imports.filter(({ from }) => from === module).length, module).toBeGreaterThan(0)
    }
    expect(imports.length).toBeGreaterThan(200)
  })

  it('has no module that is missing in the table', () => {
    expect([...new Set(sources(SRC).map(moduleOf))].filter((room) => !(room in MAY_IMPORT))).toEqual([])
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

  it('keeps the model free of everything, node and packages included', () => {
    const outside = imports.filter(({ from, what }) => from === 'model' && !what.startsWith('./'))
    expect(outside).toEqual([])
  })

  it('gives each package its one place', () => {
    const wrong = imports.flatMap(({ file, from, what }) => {
      const name = Object.keys(PACKAGES).find((known) => what === known || what.startsWith(`${known}/`))
      return name === undefined || PACKAGES[name]?.includes(from) ? [] : [`${file} imports ${what}`]
    })
    expect(wrong).toEqual([])
  })

  it('reads the environment in one file', () => {
    const readers = sources(SRC).filter((file) => /process\.env\b/.test(readFileSync(file, 'utf8')))
    expect(readers.map((file) => relative(SRC, file))).toEqual(['config/options/env.ts'])
  })

  it('never edits the path of a request that was begun, which skips every check of it', () => {
    const editors = sources(SRC).filter((file) =>
      /\b(?:proxyReq|outgoing)\.path\s*=[^=]/.test(readFileSync(file, 'utf8')),
    )
    expect(editors).toEqual([])
  })

  it('keeps the monolith and the services to themselves', () => {
    const wrong = ['legacy-monolith', 'extracted-services'].flatMap((folder) =>
      sources(join(ROOT, folder)).filter((file) => /from '(?:\.\.\/)+src\//.test(readFileSync(file, 'utf8'))),
    )
    expect(wrong).toEqual([])
  })
})

/** Every TypeScript file that is not a test. */
function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !/\.test(?:-kit)?\.ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('node_modules'))
}

/** `proxy` for src/proxy/x.ts, `gateway.ts` for a file that stands by itself. */
function moduleOf(file: string): string {
  return relative(SRC, file).split('/')[0] as string
}
