import { expect, test } from 'vitest'
import { readableLine } from '../../scripts/start/readable-line.ts'

test('npm start prints each mistake of a rejected map on a line of its own', () => {
  const mistakes = ['contexts.orders.flag: is missing', 'legacy.url: is not a URL']
  const line = JSON.stringify({ level: 'error', file: 'routes.config.ts', mistakes, msg: 'config rejected' })
  expect(readableLine(line).split('\n')).toEqual([
    'ERROR config rejected file=routes.config.ts',
    '  contexts.orders.flag: is missing',
    '  legacy.url: is not a URL',
  ])
})
