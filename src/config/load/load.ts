// Loads a config file. Every problem with the file is reported as a mistake, never thrown.
import { readFile } from 'node:fs/promises'
import { createRequire, registerHooks } from 'node:module'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Mistake } from '../mistake.ts'
import { readVariable } from '../options/env.ts'
import { type ValidationResult, validate } from '../schema/validate.ts'
import { readAuthKeys } from './auth-keys.ts'
import { explainLoadError, jsonMistake } from './load-error.ts'
import { readTlsFiles } from './tls-files.ts'

/**
 * Loads, checks and completes a config file: `.ts`, `.mts`, `.js`, `.mjs`, `.cjs` (default export or `module.exports`)
 * or `.json`. Each call reads the file again; the modules that it imports are loaded once per process.
 */
export async function loadConfig(file: string): Promise<ValidationResult> {
  const path = resolve(file)
  const written = await readWritten(path)
  return written.ok ? checkConfig(written.value, dirname(path)) : written
}

/**
 * Checks a config object.
 *
 * @param folder the folder to which the paths of its PEM files are relative
 * @param variable reads an environment variable that the config names
 */
export async function checkConfig(
  written: unknown,
  folder: string,
  variable = readVariable,
): Promise<ValidationResult> {
  const validated = validate(written)
  if (!validated.ok) return validated
  const withTls = await readTlsFiles(validated.config, folder)
  const withKeys = await readAuthKeys(withTls.ok ? withTls.config : validated.config, folder, variable)
  if (withTls.ok) return withKeys.ok ? { ...withKeys, warnings: validated.warnings } : withKeys
  return withKeys.ok ? withTls : { ok: false, mistakes: [...withTls.mistakes, ...withKeys.mistakes] }
}

type LoadedValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }

const MODULES: ReadonlySet<string> = new Set(['.ts', '.mts', '.js', '.mjs', '.cjs'])
/** A config with a top-level `await` that never settles must not keep the gateway from starting. */
const LOADING_MS = 10_000

async function readWritten(path: string): Promise<LoadedValue> {
  const extension = extname(path)
  if (extension !== '.json' && !MODULES.has(extension)) {
    return failWith(path, 'has an unknown extension; write the config as .ts, .mts, .js, .mjs, .cjs or .json')
  }
  let source: string
  try {
    source = await readFile(path, 'utf8')
  } catch (error) {
    return failWith(path, explainReadError((error as NodeJS.ErrnoException).code))
  }
  return extension === '.json' ? readJson(path, source) : readModule(path, source)
}

function readJson(path: string, source: string): LoadedValue {
  try {
    return { ok: true, value: JSON.parse(source.replace(/^\ufeff/, '')) }
  } catch (error) {
    return { ok: false, mistakes: [jsonMistake(path, source, error)] }
  }
}

async function readModule(path: string, source: string): Promise<LoadedValue> {
  try {
    const module = await loadWithinLimit(importFresh(path, source))
    if (module === TIMED_OUT) {
      return failWith(path, `did not finish loading within ${LOADING_MS / 1000} s; remove the await that never ends`)
    }
    const value = defaultExport(module)
    if (value !== undefined) return { ok: true, value }
    return failWith(path, 'has no default export; write "export default defineRoutes({ … })"')
  } catch (error) {
    return { ok: false, mistakes: [explainLoadError(path, source, error)] }
  }
}

/** Node caches ES modules by URL, hence the query; it caches CommonJS modules by path, hence the deletion. */
async function importFresh(path: string, source: string): Promise<Record<string, unknown>> {
  delete createRequire(path).cache[path]
  const url = `${pathToFileURL(path).href}?generation=${process.hrtime.bigint()}`
  const hooks = isWrittenAsModule(source) ? loadAsModule(url, extname(path)) : undefined
  try {
    return await import(/* @vite-ignore */ url)
  } finally {
    hooks?.deregister()
  }
}

/** Whether the file contains `import` or `export`, so that it must be an ES module. */
function isWrittenAsModule(source: string): boolean {
  return /^\s*(?:import\s*[\w{*'"]|export\s)/m.test(source)
}

/** Makes Node load the file as an ES module even beside a package.json with `"type": "commonjs"`, as `npm init` writes it. */
function loadAsModule(url: string, extension: string): { readonly deregister: () => void } | undefined {
  const format = extension === '.ts' ? 'module-typescript' : extension === '.js' ? 'module' : undefined
  if (format === undefined) return undefined
  return registerHooks({ load: (of, context, next) => next(of, of === url ? { ...context, format } : context) })
}

/** Returns `export default`, `module.exports`, or the `exports.default` of a compiler to CommonJS. */
function defaultExport(module: Record<string, unknown>): unknown {
  const exported = module.default
  const isCompiled = typeof exported === 'object' && exported !== null && '__esModule' in exported
  return isCompiled ? (exported as { default?: unknown }).default : exported
}

const TIMED_OUT = Symbol('timed out')

async function loadWithinLimit<T>(work: Promise<T>): Promise<T | typeof TIMED_OUT> {
  const { promise, resolve: expire } = Promise.withResolvers<typeof TIMED_OUT>()
  const timer = setTimeout(expire, LOADING_MS, TIMED_OUT)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

function explainReadError(code: string | undefined): string {
  if (code === 'ENOENT') return 'does not exist; create it, or name another file with --config'
  if (code === 'EISDIR') return 'is a folder; name a file in it'
  if (code === 'EACCES') return 'is not readable by this user; change its permissions'
  return `cannot be read (${code ?? 'unknown reason'})`
}

function failWith(path: string, message: string): LoadedValue {
  return { ok: false, mistakes: [{ path, found: '', message }] }
}
