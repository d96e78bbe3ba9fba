// Parses server-sent events: the subset of the HTML standard that the admin API sends.

type StreamEvent = { readonly name: string; readonly text: string }

const MAX_EVENT_CHARS = 8 * 1024 * 1024

/**
 * @param onChunk called for each chunk, comments included: it shows that the connection is alive
 * @throws {Error} if an event is longer than 8 MiB
 */
export async function* eventsOf(body: AsyncIterable<Uint8Array>, onChunk: () => void): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    onChunk()
    const blocks = (rest + decoder.decode(chunk, { stream: true })).replace(/\r\n?/g, '\n').split('\n\n')
    rest = blocks.pop() ?? ''
    if (rest.length > MAX_EVENT_CHARS) throw new Error('an event is too large')
    for (const block of blocks) {
      const event = eventOf(block)
      if (event !== undefined) yield event
    }
  }
}

/** @returns undefined for a block that contains only comments */
function eventOf(block: string): StreamEvent | undefined {
  const fields = block.split('\n').map((line) => /^([^:]*):? ?(.*)$/.exec(line) ?? [])
  const text = fields.filter(([, name]) => name === 'data').map(([, , value = '']) => value)
  const name = fields.findLast(([, field]) => field === 'event')?.[2] ?? 'message'
  return text.length === 0 ? undefined : { name, text: text.join('\n') }
}
