// The arguments of `strangler replay`.
import { expect, it } from 'vitest'
import { RECORDING_FORMATS } from '../entry/replay.ts'
import { replay, toShare } from './commands/replay.ts'

it.each([
  [['a.log', '--rate', '0'], '--rate: must be a number from 0.1 to 1000 (found "0")'],
  [['a.log', '--rate', '1e3'], '--rate: must be a number from 0.1 to 1000 (found "1e3")'],
  [['a.log', '--fail-under', '100'], '--fail-under: must be a number from 0 to 99.99 (found "100")'],
  [['a.log', '--concurrency', '1.5'], '--concurrency: must be a whole number (found "1.5")'],
  [['a.log', '--format', 'apache'], '--format: must be har, access-log, nginx (found "apache")'],
  [[], 'give the file: strangler replay shop.har'],
  [['a.log', 'b.log'], '"b.log" is one argument too many; see --help'],
])('%j is a usage error', async (args, sentence) => {
  await expect(replay.run(args)).rejects.toThrow(sentence)
})

it.each([99.9, 99.99, 97.5, 33.3, 0.1])(
  '%d percent is reached by exactly that share of 100,000 requests',
  (percent) => {
    expect(Math.round(percent * 1000) / 100_000).toBeGreaterThanOrEqual(toShare(percent))
  },
)

it('the manual lists all formats', async () => {
  for (const format of RECORDING_FORMATS) expect(replay.help).toContain(format)
})
