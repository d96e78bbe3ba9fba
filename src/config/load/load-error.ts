// Translates the errors of Node for a config file that does not load into mistakes for its author.
import { stripTypeScriptTypes } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Mistake } from '../mistake.ts'

/** The mistake for a module that could not be imported, with the line if Node reports it. */
export function explainLoadError(path: string, source: string, error: unknown): Mistake {
  if (!(error instanceof Error) && !isErrorLike(error)) {
    return {
      path,
      found: '',
      message: `threw a value that is not an Error while it was loaded: ${oneLine(String(error))}`,
    }
  }
  const { name, message, stack = '' } = error
  const code = (error as NodeJS.ErrnoException).code
  const place = placeInStack(path, stack)
  if (code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING') {
    const why = 'is TypeScript under node_modules, which Node does not run; move it out of there, or write it as .mjs'
    return { path, found: '', message: why }
  }
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    const why = `uses TypeScript that Node cannot run as it is: ${oneLine(message)}; write it in plain JavaScript with types`
    return { path: place, found: '', message: why }
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    return {
      path,
      found: '',
      message: `imports a module that does not exist: ${oneLine(message)}; install it or correct the import`,
    }
  }
  if (name === 'SyntaxError') {
    const where = place === path ? `${path}${lineOf(source)}` : place
    return { path: where, found: '', message: `is not valid ${language(path)}: ${oneLine(message)}` }
  }
  return { path: place, found: '', message: `threw an error while it was loaded: ${oneLine(`${name}: ${message}`)}` }
}

/** The mistake for invalid JSON, without V8's quotation from the file, which may contain a secret. */
export function jsonMistake(path: string, source: string, error: unknown): Mistake {
  const text = error instanceof Error ? error.message : String(error)
  const [, line] = /\(line (\d+) column \d+\)/.exec(text) ?? []
  const problem = text.replace(/(, (\.\.\.)?"| in JSON at position| is not valid JSON)[\s\S]*$/, '')
  const where = line === undefined ? lineOf(`(${source})`) : `:${line}`
  return { path: `${path}${where}`, found: '', message: `is not valid JSON: ${oneLine(problem)}` }
}

/** An error of another realm (a test runner, a vm) is not an instance of this realm's Error. */
function isErrorLike(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && 'message' in error && 'name' in error
}

/** Returns `file:line` from the stack: its first line for a syntax error, else the first frame in the file. */
function placeInStack(path: string, stack: string): string {
  const [, file, line] = /^(?:file:\/\/)?(\/[^\n]*?|[A-Za-z]:[^\n]*?)(?:\?[^:\n]*)?:(\d+)\n/.exec(stack) ?? []
  if (file !== undefined && line !== undefined) return `${file}:${line}`
  const name = `(?:${RegExp.escape(pathToFileURL(path).href)}|${RegExp.escape(path)})`
  const [, frame] = new RegExp(`${name}(?:\\?[^:\\n]*)?:(\\d+):\\d+`).exec(stack) ?? []
  return frame === undefined ? path : `${path}:${frame}`
}

/** Returns the line of a syntax error, which V8 does not report for modules, from Node's type stripper. */
function lineOf(source: string): string {
  // Suppresses the warning that the type stripper is experimental. Safe, as everything until `finally` is synchronous.
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    stripTypeScriptTypes(source)
    return ''
  } catch (error) {
    const [, line] = /^[^\n]*:(\d+)\n/.exec((error as Error).stack ?? '') ?? []
    return line === undefined ? '' : `:${line}`
  } finally {
    process.emitWarning = emitWarning
  }
}

function language(path: string): string {
  return /\.m?ts$/.test(path) ? 'TypeScript' : 'JavaScript'
}

function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\s]+/gu, ' ').trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}
