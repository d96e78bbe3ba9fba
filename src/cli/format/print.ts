// What commands print: tables that line up, colour where somebody looks, JSON; and nothing that drives a terminal.
import { styleText } from 'node:util'

export type Tone = 'good' | 'warning' | 'bad' | 'faint' | 'strong'

/** A text, and how it is shown where there is colour. */
export type Cell = string | { readonly text: string; readonly tone: Tone }

/** Where lines go, and what can be shown there. */
export type Screen = {
  readonly hasColor: boolean
  /** Undefined where nothing is ever too wide: a file, a pipe. */
  readonly width: number | undefined
}

const STYLES = { good: 'green', warning: 'yellow', bad: 'red', faint: 'dim', strong: 'bold' } as const

/** Standard output as it is. @param mayColor unless NO_COLOR or --no-color says otherwise */
export function screen(mayColor: boolean): Screen {
  const { isTTY, columns } = process.stdout
  return { hasColor: mayColor && isTTY === true, width: isTTY ? columns : undefined }
}

/**
 * What a terminal or viewer may act upon: control characters, the invisible ones that reverse or hide text, and the
 * other line separators. Reasons, names and addresses were written by others.
 */
const RISKY = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** The text on one line, with every risky character spelled out. */
export function plain(text: string): string {
  return text.replace(RISKY, spelledOut)
}

/** The value as JSON; what is risky is escaped there too, so that it is the same JSON. */
export function json(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null'
  // Line ends are the layout's: those of data were escaped by JSON itself.
  return text.replace(RISKY, (character) => (character === '\n' ? character : spelledOut(character)))
}

function spelledOut(character: string): string {
  let spelled = ''
  for (let i = 0; i < character.length; i++) spelled += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return spelled
}

export function paint(cell: Cell, { hasColor }: Screen): string {
  if (typeof cell === 'string') return plain(cell)
  const text = plain(cell.text)
  return hasColor ? styleText(STYLES[cell.tone], text, { validateStream: false }) : text
}

/**
 * Rows in columns under their heads. Where the screen is too narrow, the widest columns are cut.
 *
 * @param whole heads of columns that say nothing if they are cut
 */
export function table(
  heads: readonly string[],
  rows: readonly (readonly Cell[])[],
  on: Screen,
  whole: readonly string[] = [],
): string {
  const all = [heads.map((text): Cell => ({ text, tone: 'faint' })), ...rows]
  const widths = narrowed(
    heads.map((_, column) => Math.max(...all.map((row) => lengthOf(row[column] ?? '')))),
    heads.map((head) => !whole.includes(head)),
    on.width,
  )
  return all.map((row) => line(row, widths, on)).join('\n')
}

/** Whether the screen is too narrow for these rows as they are. */
export function isTooWide(heads: readonly string[], rows: readonly (readonly Cell[])[], on: Screen): boolean {
  const whole = table(heads, rows, { hasColor: false, width: undefined }).split('\n')
  return on.width !== undefined && whole.some((one) => [...one].length > on.width!)
}

/** What stands beneath a name is set in so far. */
export const SET_IN = '  '

/** A row of `tableUnderNames`. */
export type NamedRow = {
  /** Lines above the cells, which are never cut: half a name may be another's. */
  readonly names: readonly Cell[]
  readonly cells: readonly Cell[]
  readonly beneath?: readonly string[]
}

/** For narrow screens: columns as in `table`, with what would be the longest of them on lines of their own. */
export function tableUnderNames(heads: readonly string[], rows: readonly NamedRow[], on: Screen): string {
  const cells = rows.map((row) => row.cells)
  const [head = '', ...lines] = table(heads, cells, { ...on, width: undefined }).split('\n')
  const blocks = rows.flatMap(({ names, beneath = [] }, i) => [
    ...names.map((name) => paint(name, on)),
    ...[lines[i]!, ...beneath].map((one) => `${SET_IN}${one}`),
  ])
  return [`${SET_IN}${head}`, ...blocks].join('\n')
}

const GAP = 2
const NARROWEST = 6

/** Takes from the widest column that may be cut, one by one, until the row fits. */
function narrowed(widths: number[], mayBeCut: readonly boolean[], width: number | undefined): number[] {
  if (width === undefined) return widths
  const fitted = [...widths]
  let excess = fitted.reduce((sum, one) => sum + one + GAP, -GAP) - width
  for (; excess > 0; excess--) {
    const most = Math.max(...fitted.filter((_, column) => mayBeCut[column]))
    if (most <= NARROWEST) break
    const widest = fitted.findIndex((one, column) => mayBeCut[column] && one === most)
    fitted[widest] = (fitted[widest] ?? 0) - 1
  }
  return fitted
}

function line(row: readonly Cell[], widths: readonly number[], on: Screen): string {
  const cells = widths.map((width, column) => {
    const cell = cut(row[column] ?? '', width)
    return `${paint(cell, on)}${' '.repeat(width - lengthOf(cell))}`
  })
  return cells.join(' '.repeat(GAP)).trimEnd()
}

function cut(cell: Cell, width: number): Cell {
  const text = plain(textOf(cell))
  const fitted = shortened(text, width)
  if (fitted === text) return cell
  return typeof cell === 'string' ? fitted : { text: fitted, tone: cell.tone }
}

/** The text on one line of at most this width. */
export function shortened(text: string, width: number | undefined): string {
  const characters = [...plain(text)]
  if (width === undefined || characters.length <= width) return characters.join('')
  return `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

function lengthOf(cell: Cell): number {
  return [...plain(textOf(cell))].length
}

/** `1 context`, `3 contexts`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text
}
