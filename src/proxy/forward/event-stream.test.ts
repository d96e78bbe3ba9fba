import { describe, expect, test } from 'vitest'
import { EventStream, eventStreamOf } from './event-stream.ts'

const bytes = (text: string) => Buffer.from(text)

describe('an event stream is between two events', () => {
  test.each([
    ['', true],
    ['data: 1\n\n', true],
    ['data: 1\r\n\r\n', true],
    ['data: 1\r\r', true],
    ['data: 1\n\r\n', true],
    ['data: 1\r\n\n', true],
    ['data: 1\n', false],
    ['data: 1\r\n', false],
    ['data: 1\r', false],
    ['data: 1', false],
    ['data: 1\n\nd', false],
    ['data: 1\n\ndata: 2\n', false],
    ['data: a\r\nid: 1\r\n', false],
    [': comment\n\n', true],
  ])('after %j: %s, in pieces of any size', (text, isBetween) => {
    for (let size = 1; size <= Math.max(1, text.length); size++) {
      const stream = new EventStream(false)
      for (let offset = 0; offset < text.length; offset += size) {
        const piece = bytes(text.slice(offset, offset + size))
        expect(stream.take(piece, 0, piece.length)).toBe(piece.length)
      }
      expect(stream.isBetweenEvents, `in pieces of ${size}`).toBe(isBetween)
    }
  })
})

describe('an event stream that is ending', () => {
  test.each([
    ['lf\n\ndata: ne', 'lf\n\n'],
    ['lf\n\ndata: whole\n\ndata: ne', 'lf\n\ndata: whole\n\n'],
    ['lf\r\n\r\ndata: ne', 'lf\r\n\r\n'],
    ['lf\r\n\r\n', 'lf\r\n\r\n'],
  ])('passes on of %j only %j, up to the end of the last complete event', (text, given) => {
    const stream = new EventStream(false)
    stream.take(bytes('data: ha'), 0, 8)
    stream.isEnding = true
    const end = stream.take(bytes(text), 0, text.length)
    expect(text.slice(0, end)).toBe(given)
    expect(stream.isBetweenEvents).toBe(true)
  })

  test('passes on all of a piece in which no event ends', () => {
    const stream = new EventStream(false)
    stream.isEnding = true
    expect(stream.take(bytes('data: 1\n'), 0, 8)).toBe(8)
    expect(stream.isBetweenEvents).toBe(false)
    expect(stream.take(bytes('\nid'), 0, 3)).toBe(1)
    expect(stream.isBetweenEvents).toBe(true)
  })
})

describe('eventStreamOf', () => {
  test.each([
    [['Content-Type', 'text/event-stream'], { isCompressed: false }],
    [['content-type', 'Text/Event-Stream; charset=utf-8'], { isCompressed: false }],
    [['Content-Type', 'text/event-stream', 'Content-Encoding', 'identity'], { isCompressed: false }],
    [['Content-Encoding', 'gzip', 'Content-Type', 'text/event-stream'], { isCompressed: true }],
    [['Content-Type', 'text/event-stream', 'Content-Length', '9'], undefined],
    [['Content-Type', 'text/event-streams'], undefined],
    [['Content-Type', 'text/html'], undefined],
    [[], undefined],
  ])('%j', (raw, expected) => {
    const stream = eventStreamOf(raw)
    expect(stream && { isCompressed: stream.isCompressed }).toEqual(expected)
  })
})
