// Gateways by name, kept in the home folder: who reads the file can do what its tokens can.
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { suggestName } from '../../config/mistake.ts'
import { isMissing } from '../../lib/file-errors.ts'
import { UsageError } from '../usage-error.ts'

export type Profile = { readonly url: string; readonly token: string | undefined }

/** The name that is meant where none is said. */
export const DEFAULT_PROFILE = 'default'

/** @throws {UsageError} if there is no such profile, or others could read it */
export function readProfile(name: string): Profile {
  const profiles = readProfiles()
  if (profiles === undefined) throw new UsageError(`there is no profile "${name}", as there is no ${profilesFile()}`)
  const found = profiles.get(name)
  if (found !== undefined) return found
  throw new UsageError(
    `${profilesFile()} has no profile ${JSON.stringify(name)}; ${suggestName(name, [...profiles.keys()])}`,
  )
}

export function defaultProfile(): Profile | undefined {
  return readProfiles()?.get(DEFAULT_PROFILE)
}

function profilesFile(): string {
  return join(homedir(), '.config', 'strangler', 'profiles.json')
}

function readProfiles(): ReadonlyMap<string, Profile> | undefined {
  const file = profilesFile()
  const text = readOwn(file)
  if (text === undefined) return undefined
  let written: unknown
  try {
    written = JSON.parse(text)
  } catch {
    // The parser quotes the text, which has tokens in it.
    throw new UsageError(`${file} is not JSON; it must be ${EXAMPLE}`)
  }
  if (!isObject(written)) throw new UsageError(`${file} must be ${EXAMPLE}`)
  return new Map(Object.entries(written).map(([name, profile]) => [name, readOne(file, name, profile)]))
}

const EXAMPLE = '{ "prod": { "url": "https://gateway.example.com:8081", "token": "..." } }'

function readOne(file: string, name: string, profile: unknown): Profile {
  if (!isObject(profile) || typeof profile.url !== 'string') {
    throw new UsageError(`${file}: profile ${JSON.stringify(name)} has no "url"; it must be ${EXAMPLE}`)
  }
  const { url, token } = profile
  if (token !== undefined && typeof token !== 'string') {
    throw new UsageError(`${file}: the token of profile ${JSON.stringify(name)} must be a text`)
  }
  return { url, token }
}

/** A file as its owner alone can read it; undefined if there is none. */
function readOwn(file: string): string | undefined {
  try {
    const { mode } = statSync(file)
    // Windows has no such modes; the home folder is its owner's there.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new UsageError(`${file} can be read by others, and there are tokens in it: chmod 600 ${file}`)
    }
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (isMissing(error)) return undefined
    throw new UsageError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
