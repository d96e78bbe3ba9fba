// Sets the percentage of a flag through Unleash's Admin API: the rollout of one strategy in one environment, and nothing else.
import { z } from 'zod'
import type { FlagChangeRequest, FlagPercentage, FlagWriteResult, FlagWriter } from '../../../model/ports.ts'
import { gradualRollout, percentageError, percentageOf, rolloutOf } from '../percentage.ts'
import { AdminApi, type ApiFailure } from './admin-api.ts'

type UnleashWriterOptions = {
  /** The base of the API, such as `https://unleash.example/api`. */
  readonly url: string
  readonly adminToken: string
  readonly project: string
  readonly environment: string
  /** The limit of one request; a change takes up to eight. Default: 5000. */
  readonly timeoutMs?: number
}

/** The environment whose flags a client token receives. Unleash writes tokens as `project:environment.secret`. */
export function environmentOf(clientToken: string): string | undefined {
  const environment = /^[^:]+:([^.]+)\../.exec(clientToken)?.[1]
  return environment === '*' ? undefined : environment
}

export class UnleashWriter implements FlagWriter {
  readonly #api: AdminApi
  readonly #project: string
  readonly #environment: string

  constructor({ url, adminToken, project, environment, timeoutMs = 5000 }: UnleashWriterOptions) {
    this.#api = new AdminApi({ url, token: adminToken, timeoutMs })
    this.#project = project
    this.#environment = environment
  }

  async read(flag: string): Promise<FlagPercentage> {
    const lookup = await this.#find(flag)
    if (lookup.kind === 'found') return percentageOf(lookup.flag)
    return { percentage: null, why: lookup.kind === 'missing' ? 'is not in Unleash' : lookup.reason }
  }

  async setPercentage(flag: string, percentage: number, request: FlagChangeRequest): Promise<FlagWriteResult> {
    const error = percentageError(percentage)
    if (error !== undefined) return refused(error)
    const lookup = await this.#find(flag)
    if (lookup.kind !== 'found' && lookup.kind !== 'missing') return lookup
    const current = lookup.kind === 'found' ? percentageOf(lookup.flag).percentage : null
    const objection = await request.objection?.(current)
    if (objection !== undefined) return refused(objection)
    const isGuarded = request.objection !== undefined
    if (lookup.kind === 'found') return this.#move(flag, percentage, lookup.flag, isGuarded)
    const failure = await this.#create(flag, request)
    if (failure !== undefined) return failure
    const created = await this.#find(flag)
    if (created.kind === 'missing') return failed(`flag "${flag}" was created, and another client has removed it`)
    if (created.kind !== 'found') return created
    const result = await this.#move(flag, percentage, created.flag, isGuarded)
    return result.kind === 'written' ? { kind: 'written', before: null, after: result.after } : result
  }

  async #find(flag: string): Promise<Lookup> {
    const result = await this.#api.request('GET', this.#pathOf(flag))
    if (!result.ok) return result.status === 404 && result.isUnleash ? { kind: 'missing' } : failed(result.why)
    const parsed = flagSchema.safeParse(result.body)
    if (!parsed.success)
      return failed(`${this.#api.name} shows flag "${flag}" in a form that this gateway does not understand`)
    const feature = parsed.data.environments.find(({ name }) => name === this.#environment)
    return feature === undefined ? this.#noEnvironment() : { kind: 'found', flag: feature }
  }

  /** @returns undefined once the flag exists, without a strategy and switched off */
  async #create(flag: string, { context, by }: FlagChangeRequest): Promise<FlagWriteResult | undefined> {
    const environments = await this.#api.request('GET', `/environments/project/${encodeURIComponent(this.#project)}`)
    if (!environments.ok) return failed(environments.why)
    const parsed = projectSchema.safeParse(environments.body)
    if (parsed.success && !parsed.data.environments.some(({ name }) => name === this.#environment))
      return this.#noEnvironment()
    const description = `Moves the context "${context}" from the monolith to its service. Made by ${by}.`
    const created = await this.#api.request('POST', this.#flagsPath, { name: flag, type: 'release', description })
    return created.ok ? undefined : this.#creationFailure(flag, created)
  }

  #creationFailure(flag: string, { status, message, why }: ApiFailure): FlagWriteResult {
    if (status === 409)
      return refused(
        `flag "${flag}" is not in Unleash's project "${this.#project}", but its name is taken: by a flag of another project (set UNLEASH_PROJECT) or an archived one (revive it)`,
      )
    if (status === 404) return refused(`Unleash has no project "${this.#project}" (${message}): set UNLEASH_PROJECT`)
    if (status === 400) return refused(`Unleash rejects flag "${flag}": ${message}`)
    return failed(why)
  }

  async #move(
    flag: string,
    percentage: number,
    current: FlagInEnvironment,
    isGuarded: boolean,
  ): Promise<FlagWriteResult> {
    // The rollout precedes the switch: a flag that is switched on first would be on at its old percentage.
    const refusal = await this.#setRollout(flag, percentage, current, isGuarded)
    if (refusal !== undefined) return refusal
    // At 0 %, an environment that is switched off stays off: the effect is the same, and an operator switched it.
    const mustEnable = !current.enabled && percentage > 0
    if (mustEnable) {
      const enabled = await this.#api.request('POST', `${this.#environmentPathOf(flag)}/on`, {})
      if (!enabled.ok)
        return failed(`${enabled.why}; the rollout is at ${percentage} %, but "${this.#environment}" is still off`)
    }
    const result = await this.#verify(flag, percentageOf(current).percentage)
    if (result.kind !== 'written' || !mustEnable) return result
    return { ...result, note: `flag "${flag}" was switched off in Unleash, and is on now` }
  }

  /** @returns undefined if the rollout has the percentage */
  async #setRollout(
    flag: string,
    percentage: number,
    current: FlagInEnvironment,
    isGuarded: boolean,
  ): Promise<FlagWriteResult | undefined> {
    const rollout = rolloutOf(current)
    if (rollout.kind === 'immovable')
      return refused(`flag "${flag}" in the environment "${this.#environment}" ${rollout.why}`)
    const strategiesPath = `${this.#environmentPathOf(flag)}/strategies`
    if (rollout.kind === 'none') {
      const added = await this.#api.request('POST', strategiesPath, gradualRollout(flag, percentage))
      return added.ok ? undefined : unsure(added)
    }
    if (rollout.percentage === percentage) return undefined
    // Only this value is sent: a change that another client makes at the same time is not undone.
    const path = '/parameters/rollout'
    const { id = '', parameters } = current.strategies[rollout.index] ?? {}
    // A guarded write fails if the rollout was changed after it was read (RFC 6902 section 4.6).
    const test = isGuarded ? [{ op: 'test', path, value: parameters?.rollout }] : []
    const patch = [...test, { op: 'replace', path, value: String(percentage) }]
    const patched = await this.#api.request('PATCH', `${strategiesPath}/${encodeURIComponent(id)}`, patch)
    return patched.ok ? undefined : unsure(patched)
  }

  /** Reads the percentage again: another client may have written at the same time. */
  async #verify(flag: string, percentageBefore: number | null): Promise<FlagWriteResult> {
    const lookup = await this.#find(flag)
    if (lookup.kind === 'found') {
      const { percentage } = percentageOf(lookup.flag)
      return { kind: 'written', before: percentageBefore, after: percentage }
    }
    const why = lookup.kind === 'missing' ? 'it does not exist any more' : lookup.reason
    return failed(`the change was accepted, but flag "${flag}" cannot be read again: ${why}`)
  }

  get #flagsPath(): string {
    return `/projects/${encodeURIComponent(this.#project)}/features`
  }

  #pathOf(flag: string): string {
    return `${this.#flagsPath}/${encodeURIComponent(flag)}`
  }

  #environmentPathOf(flag: string): string {
    return `${this.#pathOf(flag)}/environments/${encodeURIComponent(this.#environment)}`
  }

  #noEnvironment(): Extract<FlagWriteResult, { readonly kind: 'refused' }> {
    return refused(
      `Unleash's project "${this.#project}" has no environment "${this.#environment}": set UNLEASH_ENVIRONMENT`,
    )
  }
}

type Lookup =
  | { readonly kind: 'found'; readonly flag: FlagInEnvironment }
  | { readonly kind: 'missing' }
  | Extract<FlagWriteResult, { readonly kind: 'refused' | 'failed' }>

/** `rolloutOf` reads strategies and variants; this schema has only the fields that address a change. */
const environmentSchema = z.looseObject({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(
    z.looseObject({ id: z.string(), parameters: z.looseObject({ rollout: z.unknown().optional() }).nullish() }),
  ),
})
const flagSchema = z.looseObject({ environments: z.array(environmentSchema) })
const projectSchema = z.looseObject({ environments: z.array(z.looseObject({ name: z.string() })) })

type FlagInEnvironment = z.infer<typeof environmentSchema>

function unsure({ status, why }: ApiFailure): FlagWriteResult {
  return failed(status !== undefined && status < 500 ? why : `${why}; the change may have been made`)
}

function refused(reason: string): { readonly kind: 'refused'; readonly reason: string } {
  return { kind: 'refused', reason }
}

function failed(reason: string): { readonly kind: 'failed'; readonly reason: string } {
  return { kind: 'failed', reason }
}
