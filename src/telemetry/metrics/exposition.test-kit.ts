// A strict parser of Prometheus' text format 0.0.4: any deviation is an error.
export type Series = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const HEADER = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/
const SERIES = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/y
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

export function parseExposition(text: string): Series[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const seen = new Set<string>()
  const families = new Set<string>()
  const series: Series[] = []
  let family = ''
  let type = ''
  let help = ''
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const header = HEADER.exec(line)
    if (header?.[1] === 'HELP') {
      if (families.has(header[2]!)) throw new Error(`twice: ${line}`)
      families.add(header[2]!)
      help = header[2]!
      continue
    }
    if (header?.[1] === 'TYPE') {
      if (help !== header[2] || !/^(counter|gauge|histogram|summary|untyped)$/.test(header[3]!)) throw new Error(line)
      family = help
      type = header[3]!
      continue
    }
    const parts = SERIES.exec(line)
    if (parts === null) throw new Error(`not a series: ${line}`)
    const [, name, labelText = '', number] = parts
    const allowed = (SUFFIXES[type] ?? ['']).map((suffix) => family + suffix)
    if (!allowed.includes(name!)) throw new Error(`${name} in the family of ${family}`)
    const labels = parseLabels(labelText)
    const identity = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(identity)) throw new Error(`twice: ${identity}`)
    seen.add(identity)
    const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number)
    if (Number.isNaN(value) && number !== 'NaN' && number !== 'Nan') throw new Error(`not a number: ${line}`)
    series.push({ name: name!, labels, value })
  }
  checkHistograms(series)
  return series
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text)
    if (label === null) throw new Error(`not labels: ${text}`)
    labels[label[1]!] = label[2]!
  }
  return labels
}

/** Buckets only grow, and the last is the count. */
function checkHistograms(series: readonly Series[]): void {
  const last = new Map<string, number>()
  for (const { name, labels, value } of series) {
    if (!name.endsWith('_bucket')) continue
    const { le, ...others } = labels
    const key = `${name.slice(0, -7)} ${JSON.stringify(others)}`
    if (value < (last.get(key) ?? 0)) throw new Error(`bucket ${le} of ${key} shrinks`)
    last.set(key, value)
  }
  for (const { name, labels, value } of series)
    if (name.endsWith('_count') && last.get(`${name.slice(0, -6)} ${JSON.stringify(labels)}`) !== value)
      if (last.has(`${name.slice(0, -6)} ${JSON.stringify(labels)}`)) throw new Error(`${name} is not its last bucket`)
}
