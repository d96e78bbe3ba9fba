import { expect, test } from 'vitest'
import { validate } from './validate.ts'

function warningsOf(route: object | string, context: object = {}, identity: object = {}): string[] {
  const validated = validate({
    legacy: { url: 'http://a' },
    services: { service: { url: 'http://b' } },
    contexts: { chat: { owner: 'team', service: 'service', flag: 'f', routes: [route], ...context } },
    identity,
  })
  if (!validated.ok) throw new Error(JSON.stringify(validated.mistakes))
  return validated.warnings.map(({ path, message }) => `${path} ${message}`)
}

test.each(['/socket.io/*', '/repos/:name.git/*', '/:name/git-receive-pack', '/sockjs/*'])(
  'a route for %s warns that clients without cookies can change sides, and names anonymous: "ip"',
  (path) => {
    expect(warningsOf(path)).toEqual([expect.stringMatching(/^contexts\.chat\.routes\[0\] .*anonymous: "ip"/)])
  },
)

test('a route whose clients keep to one side does not warn', () => {
  expect(warningsOf('/orders/*')).toEqual([])
  expect(warningsOf('/socket.io/*', { anonymous: 'ip' })).toEqual([])
  expect(warningsOf({ path: '/socket.io/*', anonymous: 'ip' })).toEqual([])
  expect(warningsOf('/socket.io/*', {}, { anonymous: 'ip' })).toEqual([])
  expect(warningsOf({ path: '/socket.io/*', anonymous: 'cookie' }, { anonymous: 'ip' })).toHaveLength(1)
})
