// `npm run demo:traffic`: sends requests of a browsing customer through the gateway for a minute, to see and to compare. Only reads.
import http from 'node:http'
import { parseArgs } from 'node:util'

const GATEWAY = `http://127.0.0.1:${process.env.STRANGLER_PORT || '8080'}`
const USAGE = `npm run demo:traffic -- [--url ${GATEWAY}] [--seconds 60] [--rate 50]: both above 0, and at most 1000 a second\n`

const { url, seconds, rate } = wanted()

const PRODUCTS = 120
/** The requested paths, in turns: mostly products, sometimes the list of categories. */
const VISITS: readonly ((turn: number) => string)[] = [
  (turn) => `/api/catalog/products/${(turn % PRODUCTS) + 1}`,
  (turn) => `/api/catalog/products/${((turn * 7) % PRODUCTS) + 1}`,
  () => '/api/catalog/categories',
  (turn) => `/api/catalog/products/${((turn * 13) % PRODUCTS) + 1}`,
  () => '/search?q=nothing-of-the-kind',
]

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })
const answers = new Map<string, number>()
let requestCount = 0
const until = performance.now() + seconds * 1000
process.once('SIGINT', finish)
process.stdout.write(`asking ${url.origin} ${rate} times a second for ${seconds} s\n`)
const timer = setInterval(() => {
  if (performance.now() >= until) finish()
  else visit(requestCount++)
}, 1000 / rate)

function wanted() {
  const values = readValues()
  if (values?.help === true) {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  const seconds = Number(values?.seconds)
  const rate = Number(values?.rate)
  if (values === undefined || !URL.canParse(values.url) || !(seconds > 0) || !(rate > 0) || rate > 1000) {
    process.stderr.write(USAGE)
    process.exit(2)
  }
  return { url: new URL(values.url), seconds, rate }
}

/** Returns undefined for invalid options. */
function readValues() {
  try {
    return parseArgs({
      options: {
        url: { type: 'string', default: GATEWAY },
        seconds: { type: 'string', default: '60' },
        rate: { type: 'string', default: '50' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch {
    return undefined
  }
}

function visit(turn: number): void {
  const path = (VISITS[turn % VISITS.length] as (turn: number) => string)(Math.floor(turn / VISITS.length))
  const request = http.get({ host: url.hostname, port: url.port, path, agent }, (response) => {
    response.resume().on('end', () => count(`${Math.floor((response.statusCode ?? 0) / 100)}xx`))
    response.on('error', () => count('broken'))
  })
  request.on('error', (error: NodeJS.ErrnoException) => count(error.code ?? 'failed'))
}

function count(what: string): void {
  answers.set(what, (answers.get(what) ?? 0) + 1)
}

function finish(): void {
  clearInterval(timer)
  agent.destroy()
  const parts = [...answers].sort().map(([what, times]) => `${what} ${times}`)
  process.stdout.write(`asked ${requestCount} times: ${parts.join(', ') || 'no answer'}\n`)
  if (answers.has('ECONNREFUSED')) process.stdout.write(`no gateway listens on ${url.origin}: is npm start running?\n`)
  process.exit(answers.has('ECONNREFUSED') ? 1 : 0)
}
