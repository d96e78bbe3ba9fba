// flags.json: Unleash's client-features format. It is validated strictly where a mistake would send users to the wrong side.
import type { ClientFeaturesResponse } from 'unleash-client'
import { Operator } from 'unleash-client/lib/strategy/strategy.js'
import { z } from 'zod'
import { isMissing } from '../../../lib/file-errors.ts'
import type { FileRejection } from '../../../model/file-rejection.ts'
import { wholePercentage } from '../percentage.ts'

/** All mistakes in the file, each with its path. */
export class FlagFileError extends Error {
  readonly mistakes: readonly string[]

  constructor(file: string, mistakes: readonly string[]) {
    super(mistakes.map((mistake) => `${file}: ${mistake}`).join('\n'))
    this.name = 'FlagFileError'
    this.mistakes = mistakes
  }
}

/**
 * @param error the reason that the file is not in use
 * @param since milliseconds since 1970
 * @returns undefined if there is no file, or if its content is good and something else failed
 */
export function rejectionOf(path: string, error: unknown, since: number): FileRejection | undefined {
  if (error instanceof FlagFileError) return { file: 'flags', path, since, mistake: error.mistakes[0] ?? '' }
  // A file that cannot be read is not in use either: EACCES, EISDIR.
  const isUnreadable = error instanceof Error && 'syscall' in error && !isMissing(error)
  return isUnreadable ? { file: 'flags', path, since, mistake: error.message } : undefined
}

/** Unknown keys are accepted: Unleash extends the format. @throws {FlagFileError} */
export function parseFlagFile(file: string, text: string): ClientFeaturesResponse {
  const parsed = flagFile.safeParse(parseJson(file, text))
  if (!parsed.success) throw new FlagFileError(file, parsed.error.issues.map(describeIssue))
  const { version, features, segments } = parsed.data
  // The schema has validated every key that the evaluation reads.
  return { version, features, segments } as unknown as ClientFeaturesResponse
}

/** The parameter with the percentage, by the strategy of a gradual rollout. */
const PERCENTAGE_OF: Readonly<Record<string, string>> = {
  flexibleRollout: 'rollout',
  gradualRolloutUserId: 'percentage',
  gradualRolloutSessionId: 'percentage',
  gradualRolloutRandom: 'percentage',
}

const OPERATORS = Object.values(Operator) as [string, ...string[]]

const name = z.string('write a name in quotes').min(1, 'is empty; write a name')
const list = 'write a list: [ ... ]'

const constraint = z.looseObject({
  contextName: name,
  operator: z.enum(OPERATORS, `is not an operator; write one of ${OPERATORS.join(', ')}`),
  values: z.array(z.string('write a text in quotes'), list).default([]),
  inverted: z.boolean('write true or false').default(false),
})

const strategy = z
  .looseObject({
    name,
    parameters: z.looseObject({ groupId: z.unknown().optional() }, 'write an object: { ... }').default({}),
    constraints: z.array(constraint, list).default([]),
    segments: z.array(z.number("write a segment's number"), list).optional(),
  })
  .superRefine(({ name, parameters }, context) => {
    const key = PERCENTAGE_OF[name]
    if (key === undefined || wholePercentage(parameters[key]) !== undefined) return
    context.addIssue({
      code: 'custom',
      path: ['parameters', key],
      message: `${shown(parameters[key])} is not a percentage; write a whole number from 0 to 100`,
    })
  })

const feature = z
  .looseObject({
    name,
    enabled: z.boolean('write true or false'),
    strategies: z.array(strategy, list).default([]),
    variants: z.array(z.unknown(), list).optional(),
    dependencies: z.array(z.looseObject({ feature: name }), list).optional(),
  })
  .transform((feature) => ({ ...feature, strategies: feature.strategies.map(grouped(feature.name)) }))

const segment = z.looseObject({ id: z.number('write a number'), constraints: z.array(constraint, list).default([]) })

const flagFile = z
  .looseObject(
    {
      version: z.number('write a number').default(2),
      features: z.array(feature, list),
      segments: z.array(segment, list).default([]),
    },
    'write an object: { "version": 2, "features": [ ... ] }',
  )
  .superRefine(({ features, segments }, context) => {
    const names = new Set<string>()
    for (const [index, { name }] of features.entries()) {
      if (names.has(name))
        context.addIssue({ code: 'custom', path: ['features', index, 'name'], message: `"${name}" is there twice` })
      names.add(name)
    }
    const segmentIds = new Set(segments.map(({ id }) => id))
    for (const [index, feature] of features.entries())
      for (const [strategyIndex, strategy] of feature.strategies.entries())
        for (const id of strategy.segments ?? [])
          if (!segmentIds.has(id))
            context.addIssue({
              code: 'custom',
              path: ['features', index, 'strategies', strategyIndex, 'segments'],
              message: `segment ${id} is not in "segments"`,
            })
  })

/**
 * A strategy without a group gets the name of its flag as the group, as in Unleash. Otherwise the first ten percent of every flag
 * would be the same users, and other users after a move to Unleash.
 */
function grouped<S extends { name: string; parameters: { groupId?: unknown } }>(flag: string) {
  return (strategy: S): S =>
    PERCENTAGE_OF[strategy.name] !== undefined && !strategy.parameters.groupId
      ? { ...strategy, parameters: { ...strategy.parameters, groupId: flag } }
      : strategy
}

function parseJson(file: string, text: string): unknown {
  if (text.trim() === '') throw new FlagFileError(file, ['the file is empty; write { "version": 2, "features": [] }'])
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new FlagFileError(file, [`is not JSON: ${error instanceof Error ? error.message : error}`])
  }
}

function describeIssue({ path, message }: z.core.$ZodIssue): string {
  const place = path.reduce<string>(
    (place, step) =>
      typeof step === 'number' ? `${place}[${step}]` : place === '' ? String(step) : `${place}.${String(step)}`,
    '',
  )
  return place === '' ? message : `${place}: ${message}`
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)).slice(0, 60)
}
