// The HTTP agent of unleash-client with a limit on the size of a response: the client itself reads a body of any length.
import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { getDefaultAgent } from 'unleash-client/lib/request.js'

const MAX_UNLEASH_ANSWER_BYTES = 32 * 1024 * 1024

/** Sent with each request: a compressed body could expand to a thousand times the bytes that are counted here. */
export const UNCOMPRESSED = { 'Accept-Encoding': 'identity' } as const

/** For `httpOptions.agent` of unleash-client: the agent that it would choose itself, proxies included, with a limit. */
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

/** Node calls `addRequest` for each request of an agent. */
type Requesting = Agent & { addRequest: (request: ClientRequest, options: unknown) => void }

const bounded = new WeakSet<Agent>()

function bound(response: IncomingMessage): void {
  const coding = response.headers['content-encoding'] ?? 'identity'
  if (coding !== 'identity') {
    response.destroy(new Error(`Unleash answered with the coding ${coding.slice(0, 40)}, which was not requested`))
    return
  }
  let bytes = 0
  const push = response.push.bind(response)
  // The parser pushes each part of the body here. A listener for `data` would start the stream before its reader is attached.
  response.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    bytes += chunk?.length ?? 0
    if (bytes <= MAX_UNLEASH_ANSWER_BYTES) return push(chunk, encoding)
    response.destroy(new Error(`Unleash answered with more than ${MAX_UNLEASH_ANSWER_BYTES} bytes`))
    return false
  }
}
