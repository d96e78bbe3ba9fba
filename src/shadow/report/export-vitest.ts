// Exports a difference as a test that fails while the sides differ: one file for vitest and supertest. Pure.
import { quote } from '../../lib/escape.ts'
import { splitField } from '../../model/comparison.ts'
import { readerOf } from './export-reader.ts'
import type { DifferenceExport, ExportRequest, Piece } from './export-request.ts'

export function vitestOf(exporting: DifferenceExport, request: ExportRequest, remarks: readonly string[]): string {
  const { sides, route, field, example } = exporting
  const reader = readerOf(field, example)
  const { path } = splitField(field)
  const side = (name: 'legacy' | 'service', variable: string) =>
    `{ url: env.${variable} || ${literal(sides[name].url)}, target: ${wordOf(request.targets[name])} }`
  const masked = request.variables.length > 0
  return `${[...remarks, ...USAGE, ...reader.remarks].map((line) => `// ${line}`).join('\n')}
import { env } from 'node:process'
import request from 'supertest'
import { expect, test } from 'vitest'

${masked ? `${MASKED_VALUE}\n\n` : ''}const LEGACY = ${side('legacy', 'LEGACY_URL')}
const SERVICE = ${side('service', 'SERVICE_URL')}
const HEADERS: Record<string, string> = {
${headersOf(request)}}

test(${literal(`${route}: both sides agree at ${path}`)}, async () => {
  const legacy = await ask(LEGACY)
  const service = await ask(SERVICE)
  expect(read(service)).toEqual(read(legacy))
})

type Received = { readonly status: number; readonly headers: Record<string, unknown>; readonly text: string }

/** Reads the compared value from an answer. */
function read(answer: Received): unknown {
${reader.body}
}
${reader.helpers.map((helper) => `\n${helper}\n`).join('')}
async function ask({ url, target }: { readonly url: string; readonly target: string }): Promise<Received> {
  const { status, headers, body } = await request(url.replace(/\\/$/, ''))
    .${request.method.toLowerCase()}(target)
    .set(HEADERS)
    .redirects(0)
    .buffer(true)
    .parse((response, done) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => done(null, text))
    })
  return { status, headers, text: typeof body === 'string' ? body : '' }
}
`
}

const USAGE = [
  'Sends the request to both sides, and fails while they differ. Keep it in a folder of its own, in a project with vitest and supertest,',
  'in a file that ends in .test.ts, and run it with: npx vitest run --root FOLDER',
  'LEGACY_URL and SERVICE_URL replace the addresses of the gateway.',
]

const MASKED_VALUE = `/** The value of a variable that stands for a masked value. */
function valueOf(variable: string): string {
  const value = env[variable]
  if (value === undefined) throw new Error(\`set \${variable}: its recorded value was masked\`)
  return value
}`

/** Several lines of a field are one list (RFC 9110 section 5.3). */
function headersOf({ headers }: ExportRequest): string {
  const byName = Map.groupBy(headers, ({ name }) => name.toLowerCase())
  const lines = [...byName].map(([name, fields]) => {
    const joint: Piece = { text: name === 'cookie' ? '; ' : ', ' }
    return `  ${literal(name)}: ${wordOf(fields.flatMap(({ value }, i) => (i === 0 ? value : [joint, ...value])))},\n`
  })
  return lines.join('')
}

function wordOf(pieces: readonly Piece[]): string {
  const words = pieces.map((piece) => ('text' in piece ? literal(piece.text) : `valueOf(${literal(piece.variable)})`))
  return words.join(' + ') || "''"
}

/** JSON is valid JavaScript; `quote` escapes the characters that viewers interpret. */
function literal(text: string): string {
  return quote(text)
}
