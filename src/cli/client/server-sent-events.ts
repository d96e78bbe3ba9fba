// Server-sent events out of a body, as the HTML standard parses them, as far as an API sends them.

export type StreamEvent = { readonly name: string; readonly text: string }

const MAX_EVENT_CHARS = 8 * 1024 * 1024

/** @param onChunk whenever anything came, comments too: the connection lives */
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

/** Undefined for a block of comments. */
function eventOf(block: string): StreamEvent | undefined {
  const fields = block.split('\n').map((line) => /^([^:]*):? ?(.*)$/.exec(line) ?? [])
  const text = fields.filter(([, name]) => name === 'data').map(([, , value = '']) => value)
  const name = fields.findLast(([, field]) => field === 'event')?.[2] ?? 'message'
  return text.length === 0 ? undefined : { name, text: text.join('\n') }
}
