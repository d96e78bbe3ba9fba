import { describe, expect, test } from 'vitest'
import { FlagFileError, parseFlagFile } from './flag-file.ts'

const strategy = (parameters: object) => ({ name: 'flexibleRollout', parameters })
const file = (feature: object, more: object = {}) =>
  JSON.stringify({ version: 2, features: [{ name: 'orders', enabled: true, ...feature }], ...more })

describe('a mistake in the flags file is reported with its path and a correction', () => {
  test.each([
    ['', 'the file is empty; write { "version": 2, "features": [] }'],
    ['{"features": [', 'is not JSON: '],
    ['[]', 'write an object: { "version": 2, "features": [ ... ] }'],
    ['{}', 'features: write a list: [ ... ]'],
    [file({ name: '' }), 'features[0].name: is empty; write a name'],
    [file({ enabled: 'yes' }), 'features[0].enabled: write true or false'],
    [file({ strategies: {} }), 'features[0].strategies: write a list: [ ... ]'],
    ...[150, -1, 12.5, 'ten', '', null, true, undefined, '1e1', [10]].map((rollout) => [
      file({ strategies: [strategy({ rollout })] }),
      'features[0].strategies[0].parameters.rollout: ',
    ]),
    [
      file({ strategies: [{ name: 'gradualRolloutUserId', parameters: { percentage: 101 } }] }),
      'parameters.percentage: 101',
    ],
    [
      file({ strategies: [{ name: 'default', constraints: [{ contextName: 'userId', operator: 'IS' }] }] }),
      'operator: is not',
    ],
    [file({ strategies: [{ name: 'default', segments: [3] }] }), 'segment 3 is not in "segments"'],
    [
      JSON.stringify({
        features: [
          { name: 'a', enabled: true },
          { name: 'a', enabled: true },
        ],
      }),
      '"a" is there twice',
    ],
  ])('%s', (text, expected) => {
    expect(() => parseFlagFile('flags.json', text!)).toThrow(FlagFileError)
    expect(() => parseFlagFile('flags.json', text!)).toThrow(`flags.json: `)
    expect(() => parseFlagFile('flags.json', text!)).toThrow(expected!)
  })

  test('all mistakes in the flags file are reported at once', () => {
    const text = JSON.stringify({ features: [{ name: 'a' }, { name: 'b', enabled: 1 }] })
    expect(mistakesIn(text)).toEqual([
      'features[0].enabled: write true or false',
      'features[1].enabled: write true or false',
    ])
  })
})

test('unknown keys of the flags file are accepted', () => {
  const { features } = parseFlagFile('flags.json', file({ project: 'shop', impressionData: false, futureKey: 1 }))
  expect(features[0]).toMatchObject({ name: 'orders', project: 'shop', futureKey: 1 })
})

test.each([0, 100, '0', '42', '100'])('a rollout of %j is accepted as a percentage', (rollout) => {
  expect(() => parseFlagFile('flags.json', file({ strategies: [strategy({ rollout })] }))).not.toThrow()
})

test('a rollout without a group gets the name of the flag as its group, as in Unleash', () => {
  const { features } = parseFlagFile('flags.json', file({ strategies: [strategy({ rollout: 5 })] }))
  expect(features[0]?.strategies?.[0]?.parameters).toMatchObject({ groupId: 'orders' })
})

function mistakesIn(text: string): readonly string[] {
  try {
    parseFlagFile('flags.json', text)
  } catch (error) {
    if (error instanceof FlagFileError) return error.mistakes
  }
  return []
}
