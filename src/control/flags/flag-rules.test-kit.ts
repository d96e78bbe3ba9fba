// A table of flags with their percentages, and whether those can be changed: for flags in memory and for flags of a real Unleash.

export type FlagRule = {
  readonly flag: string
  readonly enabled: boolean
  readonly strategies: readonly RuleStrategy[]
  readonly reads: number | null
  /** Part of the reason that no percentage can be set; undefined if one can. */
  readonly refused?: string
}

type RuleStrategy = { readonly name: string; readonly [key: string]: unknown }

export function rolloutAt(percentage: number, more: object = {}): RuleStrategy {
  const parameters = { rollout: String(percentage), stickiness: 'default', groupId: 'people' }
  return { name: 'flexibleRollout', title: '', disabled: false, parameters, constraints: [], variants: [], ...more }
}

const onlyMembers = {
  contextName: 'userId',
  operator: 'IN',
  values: ['7', '8'],
  inverted: true,
  caseInsensitive: false,
}
const variant = (name: string, weight: number) => ({
  name,
  weight,
  weightType: 'variable',
  stickiness: 'default',
  payload: { type: 'string', value: name },
})

export const FLAG_RULES: readonly FlagRule[] = [
  { flag: 'a-plain-rollout', enabled: true, strategies: [rolloutAt(20)], reads: 20 },
  { flag: 'one-that-is-switched-off', enabled: false, strategies: [rolloutAt(100)], reads: 0 },
  { flag: 'one-without-a-strategy', enabled: false, strategies: [], reads: 0 },
  {
    flag: 'one-with-everything-else',
    enabled: true,
    strategies: [
      rolloutAt(10, {
        title: 'the first customers',
        constraints: [onlyMembers],
        variants: [variant('banner', 1000)],
        parameters: { rollout: '10', stickiness: 'userId', groupId: 'customers', note: 'kept' },
      }),
    ],
    reads: 10,
  },
  {
    flag: 'a-second-strategy-that-is-switched-off',
    enabled: true,
    strategies: [{ name: 'default', disabled: true, parameters: {}, constraints: [] }, rolloutAt(30)],
    reads: 30,
  },
  {
    flag: 'two-rollouts',
    enabled: true,
    strategies: [rolloutAt(10), rolloutAt(20)],
    reads: null,
    refused: 'has 2 strategies (flexibleRollout, flexibleRollout), and a percentage moves only one',
  },
  {
    flag: 'for-everybody',
    enabled: true,
    strategies: [{ name: 'default', parameters: {}, constraints: [] }],
    reads: 100,
    refused: 'replace it with a gradual rollout at 100 %',
  },
  {
    flag: 'for-some-of-everybody',
    enabled: true,
    strategies: [{ name: 'default', parameters: {}, constraints: [onlyMembers] }],
    reads: null,
    refused: 'has the strategy "default", which has no percentage: replace it with a gradual rollout',
  },
  {
    flag: 'by-address',
    enabled: true,
    strategies: [{ name: 'remoteAddress', parameters: { IPs: '192.0.2.7' }, constraints: [] }],
    reads: null,
    refused: 'has the strategy "remoteAddress", which has no percentage',
  },
  {
    flag: 'an-experiment',
    enabled: true,
    strategies: [rolloutAt(50, { variants: [variant('red', 500), variant('blue', 500)] })],
    reads: null,
    refused: 'divides its users among 2 variants',
  },
]
