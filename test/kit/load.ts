// Load with a ledger: clients with kept-alive connections that record the result of every request.
import http from 'node:http'

export type Answer = {
  /** 0 without a response. */
  readonly status: number
  readonly body: string
  readonly headers: http.IncomingHttpHeaders
  readonly error: string | undefined
  readonly tookMs: number
}

export type Request = {
  readonly port: number
  readonly path?: string
  readonly method?: string
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly agent?: http.Agent
}

/** Sends one request and reads the whole response. Never rejects: `error` contains the error. */
export function sendRequest({ port, path = '/', method = 'GET', headers = {}, body, agent }: Request): Promise<Answer> {
  const startedAt = performance.now()
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let response: http.IncomingMessage | undefined
    const done = (error?: NodeJS.ErrnoException) =>
      resolve({
        status: response?.statusCode ?? 0,
        body: Buffer.concat(chunks).toString('latin1'),
        headers: response?.headers ?? {},
        error: error && (error.code ?? error.message),
        tookMs: performance.now() - startedAt,
      })
    const request = http.request(
      { host: '127.0.0.1', port, path, method, headers, ...(agent === undefined ? {} : { agent }) },
      (incoming) => {
        response = incoming
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', done)
        incoming.on('end', () => done())
      },
    )
    request.on('error', done)
    request.end(body)
  })
}

export type Ledger = {
  readonly answers: readonly Answer[]
  /** Requests without a response, or with a 5xx response. */
  readonly failed: readonly Answer[]
}

export type Load = {
  readonly answers: readonly Answer[]
  /** Stops after the requests in flight have ended. */
  readonly stop: () => Promise<Ledger>
}

/**
 * Starts clients that send one request after another, each on its own kept-alive connection.
 *
 * @param next returns the next request; called with the number of the request
 * @param pauseMs the pause of each client between two requests, in milliseconds
 */
export function startLoad(clients: number, next: (number: number) => Request, pauseMs = 5): Load {
  const answers: Answer[] = []
  let number = 0
  let isStopped = false
  const client = async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    while (!isStopped) {
      answers.push(await sendRequest({ agent, ...next(number++) }))
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    agent.destroy()
  }
  const running = Array.from({ length: clients }, client)
  return {
    answers,
    stop: async () => {
      isStopped = true
      await Promise.all(running)
      return { answers, failed: answers.filter(({ status }) => status === 0 || status >= 500) }
    },
  }
}

/** The quantile of the numbers for a share from 0 to 1. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
