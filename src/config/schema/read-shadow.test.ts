import { describe, expect, test } from 'vitest'
import type { RoutesConfig } from '../define-routes.ts'
import { compile } from '../load/compile.ts'
import { formatMistakes } from '../mistake.ts'
import { validate } from './validate.ts'

const AT = 'contexts.catalog.shadow'
const NOTHING_SAID = {
  sample: 0,
  compare: {},
  maxBodyBytes: 1_048_576,
  timeoutMs: 10_000,
  noise: { pairShare: 0.1, pairShareOpen: 1 },
  writes: 'never',
  identities: 'keep',
  showOnly: undefined,
}

/** A context that says this of shadowing, if anything, and a route that does, behind one that does not. */
function shadowed(context?: unknown, route?: unknown): RoutesConfig {
  const written = {
    owner: 'team',
    service: 'catalog',
    flag: 'catalog',
    routes: ['GET /products', { path: '/own', ...(route === undefined ? {} : { shadow: route }) }],
    ...(context === undefined ? {} : { shadow: context }),
  }
  return {
    legacy: { url: 'http://127.0.0.1:3000' },
    services: { catalog: { url: 'http://127.0.0.1:3001' } },
    contexts: { catalog: written as NonNullable<RoutesConfig['contexts']>[string] },
  }
}

function policies(config: RoutesConfig) {
  const validated = validate(config)
  if (!validated.ok) throw new Error(formatMistakes(validated.mistakes))
  const { match } = compile(validated.config)
  const of = (path: string) => match('GET', 'a', path).route.shadow
  return { products: of('/products'), own: of('/own'), unowned: of('/nobody') }
}

function mistakesIn(config: RoutesConfig): string[] {
  const validated = validate(config)
  return validated.ok ? [] : formatMistakes(validated.mistakes).split('\n')
}

describe('shadowing', () => {
  test('copies nothing unless somebody says so, and is ready for an operator who does', () => {
    expect(policies(shadowed())).toEqual({ products: NOTHING_SAID, own: NOTHING_SAID, unowned: undefined })
  })

  test('is what the context says, each key by itself', () => {
    const context = {
      sample: 0.25,
      compare: { ignore: ['$.at'] },
      maxBodyBytes: 16_777_216,
      timeoutMs: 1,
      noise: { pairShareOpen: 0.5 },
      writes: 'dry-run',
      identities: 'strip',
    }
    const { products, own } = policies(shadowed(context))
    expect(products).toEqual({ ...context, noise: { pairShare: 0.1, pairShareOpen: 0.5 } })
    expect(own).toBe(products)
    expect(policies(shadowed({ sample: 1 })).products).toEqual({ ...NOTHING_SAID, sample: 1 })
  })

  test('is what the route says over its context, key by key', () => {
    const context = { sample: 0.1, compare: { ignore: ['$.at'] }, noise: { pairShare: 0.2 }, timeoutMs: 500 }
    const route = { sample: 1, noise: { pairShareOpen: 0.5 } }
    expect(policies(shadowed(context, route)).own).toEqual({
      ...NOTHING_SAID,
      sample: 1,
      compare: { ignore: ['$.at'] },
      noise: { pairShare: 0.2, pairShareOpen: 0.5 },
      timeoutMs: 500,
    })
    expect(policies(shadowed(context, { sample: 0 })).own).toMatchObject({ sample: 0, timeoutMs: 500 })
  })

  test('has one place for the rules of a route: its own, else its context’s', () => {
    const context = { compare: { ignore: ['$.at'], treatAsSet: ['$.tags'] } }
    const { products, own } = policies(shadowed(context, { compare: { ignore: ['$.id'] } }))
    expect(products?.compare).toEqual(context.compare)
    expect(own?.compare).toEqual({ ignore: ['$.id'] })
    expect(policies(shadowed(context, { compare: {} })).own?.compare).toEqual({})
  })

  test('keeps the rules as they were read, whatever is done to what was written', () => {
    const compare = { ignore: ['$.at'], keyed: undefined }
    const { products } = policies(shadowed({ compare }))
    compare.ignore.push('$..everything')
    expect(products?.compare).toStrictEqual({ ignore: ['$.at'] })
  })

  test('of a route that says false is never', () => {
    expect(policies(shadowed({ sample: 1 }, false))).toMatchObject({ products: { sample: 1 }, own: undefined })
  })
})

describe('a mistake says where it is and what to write', () => {
  const SHARE = 'must be a share from 0 to 1, such as 0.1 for ten in a hundred'
  test.each<[string, unknown, string[]]>([
    [
      'a percentage',
      { sample: 25 },
      [`${AT}.sample: must be a share: shares are from 0 to 1; write 0.25 for 25 % (found 25)`],
    ],
    [
      'another',
      { sample: 33.3 },
      [`${AT}.sample: must be a share: shares are from 0 to 1; write 0.333 for 33.3 % (found 33.3)`],
    ],
    ['less than none', { sample: -0.1 }, [`${AT}.sample: ${SHARE} (found -0.1)`]],
    ['more than all', { sample: 101 }, [`${AT}.sample: ${SHARE} (found 101)`]],
    ['no number', { sample: '10%' }, [`${AT}.sample: ${SHARE} (found "10%")`]],
    ['not a number', { sample: Number.NaN }, [`${AT}.sample: ${SHARE} (found NaN)`]],
    [
      'a body of nothing',
      { maxBodyBytes: 0 },
      [`${AT}.maxBodyBytes: must be a whole number of bytes from 1 to 16777216 (found 0)`],
    ],
    [
      'a body of too much',
      { maxBodyBytes: 16_777_217 },
      [`${AT}.maxBodyBytes: must be a whole number of bytes from 1 to 16777216 (found 16777217)`],
    ],
    [
      'no time',
      { timeoutMs: 0 },
      [`${AT}.timeoutMs: must be a whole number of milliseconds from 1 to 86400000 (found 0)`],
    ],
    ['writes that are allowed', { writes: true }, [`${AT}.writes: must be one of "never", "dry-run" (found true)`]],
    ['another word', { identities: 'drop' }, [`${AT}.identities: must be one of "keep", "strip" (found "drop")`]],
    ['a misspelt key', { sampel: 1 }, [`${AT}.sampel: unknown key; did you mean "sample"?`]],
    ['a number', 0.1, [`${AT}: must be an object such as { sample: 0.1 } (found 0.1)`]],
    ['false on a context', false, [`${AT}: must be an object such as { sample: 0.1 } (found false)`]],
    [
      'noise of which nothing is right',
      { noise: { pairShare: 10, pairShareOpen: 'all', pairs: 1 } },
      [
        `${AT}.noise.pairs: unknown key; valid names: pairShare, pairShareOpen`,
        `${AT}.noise.pairShare: must be a share: shares are from 0 to 1; write 0.1 for 10 % (found 10)`,
        `${AT}.noise.pairShareOpen: ${SHARE} (found "all")`,
      ],
    ],
    [
      'noise that is a number',
      { noise: 0.1 },
      [`${AT}.noise: must be an object; its keys: pairShare, pairShareOpen (found 0.1)`],
    ],
  ])('%s', (_what, written, expected) => {
    expect(mistakesIn(shadowed(written))).toEqual(expected)
  })

  test('of every rule at its place', () => {
    const compare = {
      ignore: ['$.at', 'header.date', 'items[0]', 7],
      normalise: [{ path: '$.a', steps: ['date', { regex: '(', with: '' }] }, { steps: ['trim'] }],
      tolerance: [{ path: '$.total' }],
      sort: [],
      'odd\u001b[31m key': 1,
    }
    const mistakes = mistakesIn(shadowed({ sample: 2, compare }))
    const places = mistakes.map((line) => line.slice(0, line.indexOf(': ')))
    expect(places.sort()).toEqual([
      `${AT}.compare.ignore[2]`,
      `${AT}.compare.ignore[3]`,
      `${AT}.compare.normalise[0].steps[1].regex`,
      `${AT}.compare.normalise[1].path`,
      `${AT}.compare.sort`,
      `${AT}.compare.tolerance[0]`,
      `${AT}.compare["odd\\u001b[31m key"]`,
      `${AT}.sample`,
    ])
    const text = mistakes.join('\n')
    expect(text).toMatch(/ignore\[2\]: must begin with "\$" for the body .*\(found "items\[0\]"\)$/m)
    expect(text).toMatch(/ignore\[3\]: must be a path in quotes, .*\(found 7\)$/m)
    expect(text).toMatch(/steps\[1\]\.regex: is not a valid RE2 expression: .*\(found "\("\)$/m)
    expect(text).toMatch(/normalise\[1\]\.path: is missing; it must be a path in quotes, such as "[^"]*"$/m)
  })

  test('of rules that are no rules', () => {
    expect(mistakesIn(shadowed({ compare: null }))).toEqual([
      `${AT}.compare: must be an object with any of ignore, normalise, tolerance, treatAsSet, keyed, sortBy, equivalentStatuses (found null)`,
    ])
    expect(mistakesIn(shadowed({ compare: { ignore: '$.at' } }))).toEqual([
      `${AT}.compare.ignore: must be a list (found "$.at")`,
    ])
  })

  test('of a route at the route, and not again for what its context got wrong', () => {
    expect(
      mistakesIn(shadowed({ sample: 2, compare: { ignore: ['at'] } }, { sample: -1, noise: { pairShare: 2 } })),
    ).toEqual([
      expect.stringContaining(`${AT}.sample: `),
      expect.stringContaining(`${AT}.compare.ignore[0]: `),
      expect.stringContaining('contexts.catalog.routes[1].shadow.sample: '),
      expect.stringContaining('contexts.catalog.routes[1].shadow.noise.pairShare: '),
    ])
    expect(mistakesIn(shadowed({}, true))).toEqual([
      'contexts.catalog.routes[1].shadow: must be an object such as { sample: 0.1 } (found true)',
    ])
  })
})
