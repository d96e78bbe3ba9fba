// Profiles: gateways by name, in a file of the home folder. A reader of the file can do everything that its tokens allow.
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { suggestName } from '../../config/mistake.ts'
import { isMissing } from '../../lib/file-errors.ts'
import { UsageError } from '../usage-error.ts'

export type Profile = { readonly url: string; readonly token: string | undefined }

/** The profile that is used if no other is named. */
const DEFAULT_PROFILE = 'default'

/** @throws {UsageError} if there is no such profile, or others could read it */
export function readProfile(name: string): Profile {
  const profiles = readProfiles()
  if (profiles === undefined) throw new UsageError(`there is no profile "${name}", as there is no ${profilesFile()}`)
  const profile = profiles.get(name)
  if (profile !== undefined) return profile
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
  const text = readPrivateFile(file)
  if (text === undefined) return undefined
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    // The message of the parser is not used: it quotes the text, which contains tokens.
    throw new UsageError(`${file} is not JSON; it must be ${EXAMPLE}`)
  }
  if (!isObject(content)) throw new UsageError(`${file} must be ${EXAMPLE}`)
  return new Map(Object.entries(content).map(([name, profile]) => [name, parseProfile(file, name, profile)]))
}

const EXAMPLE = '{ "prod": { "url": "https://gateway.example.com:8081", "token": "..." } }'

function parseProfile(file: string, name: string, profile: unknown): Profile {
  if (!isObject(profile) || typeof profile.url !== 'string') {
    throw new UsageError(`${file}: profile ${JSON.stringify(name)} has no "url"; it must be ${EXAMPLE}`)
  }
  const { url, token } = profile
  if (token !== undefined && typeof token !== 'string') {
    throw new UsageError(`${file}: the token of profile ${JSON.stringify(name)} must be a string`)
  }
  return { url, token }
}

/** Reads a file that only its owner can read. @returns undefined if there is no file */
function readPrivateFile(file: string): string | undefined {
  try {
    const { mode } = statSync(file)
    // Windows has no such modes; the home folder is private there.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new UsageError(`${file} can be read by other users, and contains tokens: run chmod 600 ${file}`)
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
