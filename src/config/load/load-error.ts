// What Node says when a config file does not load, in words for the person who wrote the file.
import { stripTypeScriptTypes } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Mistake } from '../mistake.ts'

/** A module that could not be imported: why, and the line where that is known. */
export function explainLoadError(path: string, source: string, error: unknown): Mistake {
  if (!(error instanceof Error) && !isErrorLike(error)) {
    return {
      path,
      found: '',
      message: `threw something that is no Error while it was loaded: ${oneLine(String(error))}`,
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
      message: `imports what is not there: ${oneLine(message)}; install it or correct the import`,
    }
  }
  if (name === 'SyntaxError') {
    const where = place === path ? `${path}${lineOf(source)}` : place
    return { path: where, found: '', message: `is not valid ${language(path)}: ${oneLine(message)}` }
  }
  return { path: place, found: '', message: `threw an error while it was loaded: ${oneLine(`${name}: ${message}`)}` }
}

/** JSON that could not be parsed. What V8 quotes of the file is left out: it may be part of a key. */
export function jsonMistake(path: string, source: string, error: unknown): Mistake {
  const said = error instanceof Error ? error.message : String(error)
  const [, line] = /\(line (\d+) column \d+\)/.exec(said) ?? []
  const what = said.replace(/(, (\.\.\.)?"| in JSON at position| is not valid JSON)[\s\S]*$/, '')
  const where = line === undefined ? lineOf(`(${source})`) : `:${line}`
  return { path: `${path}${where}`, found: '', message: `is not valid JSON: ${oneLine(what)}` }
}

/** In another realm (a test runner's, a vm's) an error is no instance of our Error. */
function isErrorLike(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && 'message' in error && 'name' in error
}

/** `file:line` where the stack tells it: the first line for a syntax error, else the first frame in the file. */
function placeInStack(path: string, stack: string): string {
  const [, file, line] = /^(?:file:\/\/)?(\/[^\n]*?|[A-Za-z]:[^\n]*?)(?:\?[^:\n]*)?:(\d+)\n/.exec(stack) ?? []
  if (file !== undefined && line !== undefined) return `${file}:${line}`
  const name = `(?:${RegExp.escape(pathToFileURL(path).href)}|${RegExp.escape(path)})`
  const [, frame] = new RegExp(`${name}(?:\\?[^:\\n]*)?:(\\d+):\\d+`).exec(stack) ?? []
  return frame === undefined ? path : `${path}:${frame}`
}

/** V8 does not tell the line of a syntax error in a module; the type stripper, which reads JavaScript as well, does. */
function lineOf(source: string): string {
  // It warns that it is experimental, which is no news for somebody who looks for a bracket. All of this is synchronous.
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
