// Follows the changes of a gateway, and reconnects after a lost connection.
import { setTimeout as wait } from 'node:timers/promises'
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type ChangeEvent, changeEvent } from '../../admin/contract/change-event.ts'
import { EXIT } from '../exit-codes.ts'
import { CliError } from './cli-error.ts'
import type { Client } from './client.ts'
import { connectionError, notGatewayError } from './connection-error.ts'
import { eventsOf } from './server-sent-events.ts'

/** An event as the schema parses it, and its unchanged JSON. */
type ReceivedEvent = { readonly event: ChangeEvent; readonly raw: unknown }

/** Longer than the interval of the gateway's heartbeats, which is 15 s. */
const SILENCE_MS = 60_000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 10_000

/**
 * Yields every event once, the current state first.
 *
 * @param stop ends the generator
 * @param onLost called with the reason whenever the connection is lost
 * @throws {CliError} if the first connection fails, or a retry cannot help
 */
export async function* followChanges(
  client: Client,
  stop: AbortSignal,
  onLost: (why: string) => void,
): AsyncGenerator<ReceivedEvent> {
  let last: string | undefined
  let pauseMs = FIRST_PAUSE_MS
  while (!stop.aborted) {
    try {
      for await (const received of readStream(client, stop)) {
        pauseMs = FIRST_PAUSE_MS
        const key = keyOf(received.event)
        if (key === last) continue
        last = key
        yield received
      }
      if (!stop.aborted) onLost('the gateway ended the stream')
    } catch (error) {
      if (stop.aborted) return
      const cliError = error instanceof CliError ? error : connectionError(error, client.gateway, false)
      if (last === undefined || cliError.exitCode !== EXIT.unavailable) throw cliError
      onLost(cliError.message)
    }
    await wait(pauseMs, undefined, { signal: stop }).catch(() => {})
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
  }
}

/** Kill files and expired pins change the state without a new generation. */
function keyOf({ generation, contexts, localKill = [], killFileProblems = [] }: ChangeEvent): string {
  const pins = contexts.flatMap(({ name, pin }) => (pin === null ? [] : [`${name} ${pin.at}`])).toSorted()
  return JSON.stringify([generation, pins, localKill, killFileProblems])
}

/** Reads one stream until it ends. */
async function* readStream(client: Client, stop: AbortSignal): AsyncGenerator<ReceivedEvent> {
  const silence = new AbortController()
  const abort = () => silence.abort(new DOMException('no bytes arrived', 'TimeoutError'))
  let timer = setTimeout(abort, SILENCE_MS)
  const onChunk = () => {
    clearTimeout(timer)
    timer = setTimeout(abort, SILENCE_MS)
  }
  try {
    const signal = AbortSignal.any([stop, silence.signal])
    const { body, headers } = await client.open(PATHS.events, { accept: 'text/event-stream' }, signal)
    if (body === null || !headers.get('content-type')?.startsWith('text/event-stream')) {
      throw notGatewayError(client.gateway, 'it sends no stream of changes')
    }
    for await (const { name, text } of eventsOf(body, onChunk)) if (name === 'change') yield parseEvent(text, client)
  } finally {
    clearTimeout(timer)
  }
}

function parseEvent(text: string, { gateway }: Client): ReceivedEvent {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    raw = undefined
  }
  const parsed = changeEvent.safeParse(raw)
  if (!parsed.success) throw notGatewayError(gateway, 'its events are not from a compatible gateway')
  return { event: parsed.data, raw }
}
