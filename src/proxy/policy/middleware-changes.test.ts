import { expect, test } from 'vitest'
import type { RequestHead } from '../../model/request-head.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { applyChanges } from './middleware-changes.ts'
import { readHead } from './read-head.ts'

const SNAPSHOT = {
  limits: { targetBytes: 100, headerBytes: 1000, headerCount: 20 },
  identity: { user: { header: 'x-account' }, claimHeaders: new Set(['x-mail']) },
} as unknown as Snapshot
const RAW = ['Host', 'a', 'X-A', '1', 'X-A', '2', 'X-B', '1']
const BEFORE = { url: '/a?b=c', headers: { host: 'a', 'x-a': '1, 2', 'x-b': '1' } }
const HEAD = readHead(
  {
    method: 'GET',
    target: '/a?b=c',
    majorVersion: 1,
    minorVersion: 1,
    rawHeaders: RAW,
    peerAddress: '192.0.2.1',
    secure: false,
  },
  SNAPSHOT,
) as RequestHead

const applied = (changes: object, url = BEFORE.url) =>
  applyChanges(HEAD, BEFORE, { url, headers: { ...BEFORE.headers, ...changes } }, SNAPSHOT)

test('a request that middleware did not change keeps its head', () => {
  expect(applied({})).toBe(HEAD)
})

test.each(['host', 'x-account', 'X-Mail', 'x_b', 'content-length', 'Sec-WebSocket-Key', 'x-forwarded-for'])(
  'a change of %s alone is ignored',
  (name) => {
    expect(applied({ [name]: '7' })).toBe(HEAD)
  },
)

test.each<[object, string[]]>([
  [{ 'x-b': undefined }, ['X-A', '1', 'X-A', '2']],
  [{ 'x-b': '2' }, ['X-A', '1', 'X-A', '2', 'x-b', '2']],
  [{ 'X-A': 3 }, ['X-B', '1', 'X-A', '3']],
  [{ 'x-c': ['1', '2'] }, [...RAW.slice(2), 'x-c', '1', 'x-c', '2']],
])('the changes %j are applied to the lines of the client', (changes, endToEnd) => {
  expect(applied(changes).endToEnd).toEqual(endToEnd)
})

test.each(['/a?\r\nX-Evil: 1', '/a?\u010a', '/a? ', '/a?b#c', '', 'http://b/a'])(
  'a change of the target to %j throws',
  (url) => {
    expect(() => applied({}, url)).toThrow(/req\.url has characters|refuses the changed request/)
  },
)

test.each(['/a?\r\nX-Evil: 1', '/a?\u010a', '/a?b#c'])(
  'the query of %j is not left to the upstream connection',
  (url) => {
    expect(() => applied({}, url)).toThrow('req.url has characters that are not valid')
  },
)

test('the error for a field names the field and does not contain its value', () => {
  expect(() => applied({ 'x-b': 'secret\n' })).toThrow(
    /^req\.headers\["x-b"\] has characters that are not valid in a field$/,
  )
})

test('a changed path is not rewritten, and the path of a changed query is', () => {
  expect(applied({}, '/b?b=c')).toMatchObject({ path: '/b', isPathChanged: true })
  expect(applied({}, '/a?x')).not.toHaveProperty('isPathChanged')
})
