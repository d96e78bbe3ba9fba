// Output of commands: tables, colours, JSON. Nothing that they print can control the terminal.
import { styleText } from 'node:util'

export type Tone = 'good' | 'warning' | 'bad' | 'faint' | 'strong'

/** A text, and its style on a screen with colours. */
export type Cell = string | { readonly text: string; readonly tone: Tone }

/** The capabilities of the output. */
export type Screen = {
  readonly hasColor: boolean
  /** Columns; undefined for a file or a pipe. */
  readonly width: number | undefined
}

const STYLES = { good: 'green', warning: 'yellow', bad: 'red', faint: 'dim', strong: 'bold' } as const

/** The capabilities of standard output. @param mayColor false with NO_COLOR or --no-color */
export function stdoutScreen(mayColor: boolean): Screen {
  const { isTTY, columns } = process.stdout
  return { hasColor: mayColor && isTTY === true, width: isTTY ? columns : undefined }
}

/**
 * Characters that can control a terminal or hide text: control characters, format characters such as bidirectional overrides, and
 * line separators. Reasons, names and addresses may come from an attacker.
 */
const RISKY = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** The text on one line, with every risky character as an escape such as `\u001b`. */
export function escapeControls(text: string): string {
  return text.replace(RISKY, escapeCharacters)
}

/** The value as JSON. Risky characters are escaped, which does not change the value. */
export function formatJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null'
  // JSON.stringify escapes line ends in data, so these belong to the layout.
  return text.replace(RISKY, (character) => (character === '\n' ? character : escapeCharacters(character)))
}

function escapeCharacters(character: string): string {
  let text = ''
  for (let i = 0; i < character.length; i++) text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return text
}

export function paint(cell: Cell, { hasColor }: Screen): string {
  if (typeof cell === 'string') return escapeControls(cell)
  const text = escapeControls(cell.text)
  return hasColor ? styleText(STYLES[cell.tone], text, { validateStream: false }) : text
}

/**
 * Formats rows in columns under their heads. On a screen that is too narrow, the widest columns are cut.
 *
 * @param uncut heads of columns that are useless if they are cut
 */
export function formatTable(
  heads: readonly string[],
  rows: readonly (readonly Cell[])[],
  screen: Screen,
  uncut: readonly string[] = [],
): string {
  const lines = [heads.map((text): Cell => ({ text, tone: 'faint' })), ...rows]
  const widths = fitWidths(
    heads.map((_, column) => Math.max(...lines.map((row) => cellLength(row[column] ?? '')))),
    heads.map((head) => !uncut.includes(head)),
    screen.width,
  )
  return lines.map((row) => formatRow(row, widths, screen)).join('\n')
}

/** Whether the screen is too narrow for these rows without cutting. */
export function isTooWide(heads: readonly string[], rows: readonly (readonly Cell[])[], screen: Screen): boolean {
  const lines = formatTable(heads, rows, { hasColor: false, width: undefined }).split('\n')
  return screen.width !== undefined && lines.some((line) => [...line].length > screen.width!)
}

/** The indentation of lines below a name. */
export const INDENT = '  '

/** A row of `tableUnderNames`. */
type NamedRow = {
  /** Lines above the cells. They are never cut, because half a name may be the name of another object. */
  readonly names: readonly Cell[]
  readonly cells: readonly Cell[]
  readonly details?: readonly string[]
}

/** For narrow screens: columns as in `formatTable`, with the longest of them on lines of their own. */
export function formatNamedRows(heads: readonly string[], rows: readonly NamedRow[], screen: Screen): string {
  const cells = rows.map((row) => row.cells)
  const [head = '', ...lines] = formatTable(heads, cells, { ...screen, width: undefined }).split('\n')
  const blocks = rows.flatMap(({ names, details = [] }, i) => [
    ...names.map((name) => paint(name, screen)),
    ...[lines[i]!, ...details].map((line) => `${INDENT}${line}`),
  ])
  return [`${INDENT}${head}`, ...blocks].join('\n')
}

const GAP = 2
const NARROWEST = 6

/** Narrows the widest column that may be cut, one character at a time, until the row fits. */
function fitWidths(widths: number[], mayBeCut: readonly boolean[], width: number | undefined): number[] {
  if (width === undefined) return widths
  const fitted = [...widths]
  let excess = fitted.reduce((sum, column) => sum + column + GAP, -GAP) - width
  for (; excess > 0; excess--) {
    const maximum = Math.max(...fitted.filter((_, column) => mayBeCut[column]))
    if (maximum <= NARROWEST) break
    const widest = fitted.findIndex((columnWidth, column) => mayBeCut[column] && columnWidth === maximum)
    fitted[widest] = (fitted[widest] ?? 0) - 1
  }
  return fitted
}

function formatRow(row: readonly Cell[], widths: readonly number[], screen: Screen): string {
  const cells = widths.map((width, column) => {
    const cell = truncateCell(row[column] ?? '', width)
    return `${paint(cell, screen)}${' '.repeat(width - cellLength(cell))}`
  })
  return cells.join(' '.repeat(GAP)).trimEnd()
}

function truncateCell(cell: Cell, width: number): Cell {
  const text = escapeControls(textOf(cell))
  const fitted = truncate(text, width)
  if (fitted === text) return cell
  return typeof cell === 'string' ? fitted : { text: fitted, tone: cell.tone }
}

/** The text on one line of at most `width` characters. */
export function truncate(text: string, width: number | undefined): string {
  const characters = [...escapeControls(text)]
  if (width === undefined || characters.length <= width) return characters.join('')
  return `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

function cellLength(cell: Cell): number {
  return [...escapeControls(textOf(cell))].length
}

/** `1 context`, `3 contexts`. */
export function countNoun(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text
}
