// Moving a flag of an Unleash, through its Admin API: the rollout of one strategy in one environment, and nothing else.
import { z } from 'zod'
import type { FlagChangeRequest, FlagPercentage, FlagWriteResult, FlagWriter } from '../../../model/ports.ts'
import { gradualRollout, percentageOf, refusalOf, rolloutOf } from '../../commands/percentage.ts'
import { adminApi, type Failed } from './admin-api.ts'

export type UnleashWriterOptions = {
  /** The API's base, such as `https://unleash.example/api`. */
  readonly url: string
  readonly adminToken: string
  readonly project: string
  readonly environment: string
  /** Of one of the handful of requests that a change takes; 5000 unless told. */
  readonly timeoutMs?: number
}

/** The environment whose flags a client token gets, as Unleash writes tokens: `project:environment.secret`. */
export function environmentOf(clientToken: string): string | undefined {
  const environment = /^[^:]+:([^.]+)\../.exec(clientToken)?.[1]
  return environment === '*' ? undefined : environment
}

export function unleashWriter(options: UnleashWriterOptions): FlagWriter {
  const { project, environment, timeoutMs = 5000 } = options
  const api = adminApi({ url: options.url, token: options.adminToken, timeoutMs })
  const inProject = `/projects/${encodeURIComponent(project)}/features`
  const pathOf = (flag: string) => `${inProject}/${encodeURIComponent(flag)}`
  const environmentPathOf = (flag: string) => `${pathOf(flag)}/environments/${encodeURIComponent(environment)}`

  return { read, setPercentage }

  async function read(flag: string): Promise<FlagPercentage> {
    const shown = await show(flag)
    if (shown.kind === 'shown') return percentageOf(shown.flag)
    return { percentage: null, why: shown.kind === 'missing' ? 'is not in Unleash' : shown.reason }
  }

  async function setPercentage(flag: string, percentage: number, order: FlagChangeRequest): Promise<FlagWriteResult> {
    const refusal = refusalOf(percentage)
    if (refusal !== undefined) return refused(refusal)
    const shown = await show(flag)
    if (shown.kind !== 'shown' && shown.kind !== 'missing') return shown
    const objection = await order.objection?.(shown.kind === 'shown' ? percentageOf(shown.flag).percentage : null)
    if (objection !== undefined) return refused(objection)
    const isGuarded = order.objection !== undefined
    if (shown.kind === 'shown') return move(flag, percentage, shown.flag, isGuarded)
    const trouble = await create(flag, order)
    if (trouble !== undefined) return trouble
    const made = await show(flag)
    if (made.kind !== 'shown') return made.kind === 'missing' ? failed(`flag "${flag}" was made and is gone`) : made
    const written = await move(flag, percentage, made.flag, isGuarded)
    return written.kind === 'written' ? { kind: 'written', before: null, after: written.after } : written
  }

  async function show(flag: string): Promise<Shown> {
    const answer = await api.ask('GET', pathOf(flag))
    if (!answer.ok) return answer.status === 404 && answer.isUnleash ? { kind: 'missing' } : failed(answer.why)
    const read = shownFlag.safeParse(answer.body)
    if (!read.success) return failed(`${api.name} shows flag "${flag}" in a form that this gateway does not understand`)
    const inEnvironment = read.data.environments.find(({ name }) => name === environment)
    return inEnvironment === undefined ? noEnvironment() : { kind: 'shown', flag: inEnvironment }
  }

  /** @returns undefined once the flag is there, without a strategy and switched off */
  async function create(flag: string, { context, by }: FlagChangeRequest): Promise<FlagWriteResult | undefined> {
    const answer = await api.ask('GET', `/environments/project/${encodeURIComponent(project)}`)
    if (!answer.ok) return failed(answer.why)
    const read = projectEnvironments.safeParse(answer.body)
    if (read.success && !read.data.environments.some(({ name }) => name === environment)) return noEnvironment()
    const description = `Moves the context "${context}" from the monolith to its service. Made by ${by}.`
    const made = await api.ask('POST', inProject, { name: flag, type: 'release', description })
    if (made.ok) return undefined
    return refusalOfCreation(flag, made)
  }

  function refusalOfCreation(flag: string, { status, message, why }: Failed): FlagWriteResult {
    if (status === 409)
      return refused(
        `flag "${flag}" is not in Unleash's project "${project}", but its name is taken: by a flag of another project (set UNLEASH_PROJECT) or an archived one (revive it)`,
      )
    if (status === 404) return refused(`Unleash has no project "${project}" (${message}): set UNLEASH_PROJECT`)
    if (status === 400) return refused(`Unleash does not take a flag "${flag}": ${message}`)
    return failed(why)
  }

  async function move(
    flag: string,
    percentage: number,
    found: FlagInEnvironment,
    isGuarded: boolean,
  ): Promise<FlagWriteResult> {
    const rollout = rolloutOf(found)
    if (rollout.kind === 'immovable')
      return refused(`flag "${flag}" in the environment "${environment}" ${rollout.why}`)
    // The rollout first: switched on before it, the flag would be on for as many as it was before it was switched off.
    if (rollout.kind === 'none') {
      const added = await api.ask('POST', `${environmentPathOf(flag)}/strategies`, gradualRollout(flag, percentage))
      if (!added.ok) return unsure(added)
    } else if (rollout.percentage !== percentage) {
      // Only this one value is sent, so that nothing which was changed meanwhile is put back as we saw it.
      const path = '/parameters/rollout'
      const { id = '', parameters } = found.strategies[rollout.index] ?? {}
      // A guarded write fails if the rollout was changed after it was read (RFC 6902 section 4.6).
      const test = isGuarded ? [{ op: 'test', path, value: parameters?.rollout }] : []
      const patch = [...test, { op: 'replace', path, value: String(percentage) }]
      const patched = await api.ask('PATCH', `${environmentPathOf(flag)}/strategies/${encodeURIComponent(id)}`, patch)
      if (!patched.ok) return unsure(patched)
    }
    // At zero, an environment that is off stays off: it comes to the same, and somebody switched it.
    if (!found.enabled && percentage > 0) {
      const enabled = await api.ask('POST', `${environmentPathOf(flag)}/on`, {})
      if (!enabled.ok)
        return failed(`${enabled.why}; the rollout is at ${percentage} %, but "${environment}" is still off`)
    }
    const result = await written(flag, percentageOf(found).percentage)
    if (result.kind !== 'written' || found.enabled || percentage === 0) return result
    return { ...result, note: `flag "${flag}" was switched off in Unleash, and is on now` }
  }

  /** What is there now, not what was sent: somebody else may have written at the same time. */
  async function written(flag: string, before: number | null): Promise<FlagWriteResult> {
    const shown = await show(flag)
    if (shown.kind === 'shown') return { kind: 'written', before, after: percentageOf(shown.flag).percentage }
    const why = shown.kind === 'missing' ? 'it is gone' : shown.reason
    return failed(`the change was sent and taken, but flag "${flag}" cannot be read again: ${why}`)
  }

  function unsure({ status, why }: Failed): FlagWriteResult {
    return failed(status !== undefined && status < 500 ? why : `${why}; whether the change was made is not known`)
  }

  function noEnvironment(): { readonly kind: 'refused'; readonly reason: string } {
    return refused(`Unleash's project "${project}" has no environment "${environment}": set UNLEASH_ENVIRONMENT`)
  }
}

type Shown =
  | { readonly kind: 'shown'; readonly flag: FlagInEnvironment }
  | { readonly kind: 'missing' }
  | Extract<FlagWriteResult, { readonly kind: 'refused' | 'failed' }>

/** Strategies and variants are read by `rolloutOf`; here only what a change is addressed by. */
const flagInEnvironment = z.looseObject({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(
    z.looseObject({ id: z.string(), parameters: z.looseObject({ rollout: z.unknown().optional() }).nullish() }),
  ),
})
const shownFlag = z.looseObject({ environments: z.array(flagInEnvironment) })
const projectEnvironments = z.looseObject({ environments: z.array(z.looseObject({ name: z.string() })) })

type FlagInEnvironment = z.infer<typeof flagInEnvironment>

function refused(reason: string): { readonly kind: 'refused'; readonly reason: string } {
  return { kind: 'refused', reason }
}

function failed(reason: string): { readonly kind: 'failed'; readonly reason: string } {
  return { kind: 'failed', reason }
}
