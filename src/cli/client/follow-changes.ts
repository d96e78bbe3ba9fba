// Follows the changes of a gateway for as long as it is wanted, and comes back after a lost connection.
import { setTimeout as wait } from 'node:timers/promises'
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type ChangeEvent, changeEvent } from '../../admin/contract/change-event.ts'
import { EXIT } from '../exit-codes.ts'
import { Trouble } from './cli-error.ts'
import type { Client } from './client.ts'
import { notAGateway, unreachable } from './connection-error.ts'
import { eventsOf } from './server-sent-events.ts'

export type Heard = { readonly event: ChangeEvent; readonly said: unknown }

/** The gateway sends a comment more often than this. */
const SILENT_MS = 60_000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 10_000

/**
 * Every event, beginning with how things are; none twice.
 *
 * @param isOver ends it @param onLost told why the connection was lost, each time
 * @throws {Trouble} if it could not be begun, or waiting would not help
 */
export async function* follow(
  client: Client,
  isOver: AbortSignal,
  onLost: (why: string) => void,
): AsyncGenerator<Heard> {
  let last: string | undefined
  let pauseMs = FIRST_PAUSE_MS
  while (!isOver.aborted) {
    try {
      for await (const heard of onceFrom(client, isOver)) {
        pauseMs = FIRST_PAUSE_MS
        const key = keyOf(heard.event)
        if (key === last) continue
        last = key
        yield heard
      }
      if (!isOver.aborted) onLost('the gateway ended the stream')
    } catch (error) {
      if (isOver.aborted) return
      const trouble = error instanceof Trouble ? error : unreachable(error, client.whom, false)
      if (last === undefined || trouble.exitCode !== EXIT.unavailable) throw trouble
      onLost(trouble.message)
    }
    await wait(pauseMs, undefined, { signal: isOver }).catch(() => {})
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
  }
}

/** Kill files and the ends of pins change without a new generation. */
function keyOf({ generation, contexts, localKill = [], killFileProblems = [] }: ChangeEvent): string {
  const pins = contexts.flatMap(({ name, pin }) => (pin === null ? [] : [`${name} ${pin.at}`])).toSorted()
  return JSON.stringify([generation, pins, localKill, killFileProblems])
}

async function* onceFrom(client: Client, isOver: AbortSignal): AsyncGenerator<Heard> {
  const silence = new AbortController()
  const end = () => silence.abort(new DOMException('nothing came', 'TimeoutError'))
  let timer = setTimeout(end, SILENT_MS)
  const onChunk = () => {
    clearTimeout(timer)
    timer = setTimeout(end, SILENT_MS)
  }
  try {
    const signal = AbortSignal.any([isOver, silence.signal])
    const { body, headers } = await client.open(PATHS.events, { accept: 'text/event-stream' }, signal)
    if (body === null || !headers.get('content-type')?.startsWith('text/event-stream')) {
      throw notAGateway(client.whom, 'it sends no stream of changes')
    }
    for await (const { name, text } of eventsOf(body, onChunk)) if (name === 'change') yield heardIn(text, client)
  } finally {
    clearTimeout(timer)
  }
}

function heardIn(text: string, { whom }: Client): Heard {
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch {
    said = undefined
  }
  const read = changeEvent.safeParse(said)
  if (!read.success) throw notAGateway(whom, 'its changes are none of a gateway, or of another version')
  return { event: read.data, said }
}
