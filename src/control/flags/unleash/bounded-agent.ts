// The agent of unleash-client's requests, with a limit on the size of an answer: the client reads a body whole, however long it is.
import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { getDefaultAgent } from 'unleash-client/lib/request.js'

export const MAX_UNLEASH_ANSWER_BYTES = 32 * 1024 * 1024

/** Asked for on each request: a compressed body could be a thousand times as long as what is counted here. */
export const UNCOMPRESSED = { 'Accept-Encoding': 'identity' } as const

/** For `httpOptions.agent` of unleash-client: its own choice of agent (proxies included), bounded. */
export function boundedAgent(url: URL): Agent {
  const agent = getDefaultAgent(url) as Requesting
  if (bounded.has(agent)) return agent
  bounded.add(agent)
  const { addRequest } = agent
  agent.addRequest = function (request, options) {
    request.prependOnceListener('response', bound)
    addRequest.call(this, request, options)
  }
  return agent
}

/** What Node calls for each request of an agent. */
type Requesting = Agent & { addRequest: (request: ClientRequest, options: unknown) => void }

const bounded = new WeakSet<Agent>()

function bound(response: IncomingMessage): void {
  const coding = response.headers['content-encoding'] ?? 'identity'
  if (coding !== 'identity') {
    response.destroy(new Error(`Unleash answered with the coding ${coding.slice(0, 40)}, though none was asked for`))
    return
  }
  let bytes = 0
  const push = response.push.bind(response)
  // The parser pushes each part of the body here; a listener for data would start the stream before its reader is there.
  response.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    bytes += chunk?.length ?? 0
    if (bytes <= MAX_UNLEASH_ANSWER_BYTES) return push(chunk, encoding)
    response.destroy(new Error(`Unleash answered with more than ${MAX_UNLEASH_ANSWER_BYTES} bytes`))
    return false
  }
}
