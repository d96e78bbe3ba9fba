// The gateway's own admin token: created on the first start, stored in the state directory, and readable only by the
// owner of the file. If the file is deleted, the gateway creates a new token and rejects the old one.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import type { Events } from '../../telemetry/events.ts'

/** The file is read again after this time. */
const REREAD_MS = 1_000
/** Characters that a header can carry, in a length that cannot be guessed. */
const USABLE = /^[\x21-\x7e]{32,4096}$/

/** Whether a text is the token. */
export type TokenCheck = (text: string) => Promise<boolean>

/** Checks for a token of the configuration. */
export function createTokenCheck(token: string): TokenCheck {
  const digest = digestOf(token)
  return async (text) => timingSafeEqual(digest, digestOf(text))
}

type StoredToken = { readonly text: string; readonly isNew: boolean }

/**
 * Checks for the token in `folder`, which is created if the folder does not contain one. If the folder cannot be read or
 * written, the previous token stays valid, and a new token lasts as long as the process. A log never contains the token.
 *
 * @param now milliseconds of a monotonic clock
 * @param showOnTerminal shows a token that could not be stored; undefined if no terminal is attached
 */
export async function createFileTokenCheck(
  folder: string,
  events: Pick<Events, 'adminTokenCreated' | 'stateNotSaved'>,
  now: () => number,
  showOnTerminal?: (sentence: string) => void,
): Promise<TokenCheck> {
  const file = join(folder, 'admin-token')
  let current: string | undefined
  let digest = digestOf('')
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined
  await read()

  return async (text) => {
    if (now() - readAt > REREAD_MS) {
      reading ??= read()
      await reading
    }
    return timingSafeEqual(digest, digestOf(text))
  }

  async function read(): Promise<void> {
    try {
      const { text, isNew } = await readOrCreate(folder, file)
      if (text !== current) use(text)
      if (isNew) events.adminTokenCreated({ file, isKept: true })
    } catch (error) {
      if (current !== undefined) return
      const text = createToken()
      use(text)
      events.stateNotSaved({ file, error })
      events.adminTokenCreated({ file, isKept: false })
      showOnTerminal?.(`the admin token of this process, because ${file} cannot be written: ${text}`)
    } finally {
      readAt = now()
      reading = undefined
    }
  }

  function use(text: string): void {
    current = text
    digest = digestOf(text)
  }
}

async function readOrCreate(folder: string, file: string): Promise<StoredToken> {
  for (;;) {
    const stored = await readToken(file)
    if (stored !== undefined) return { text: stored, isNew: false }
    const text = createToken()
    if (await store(text, folder, file)) return { text, isNew: true }
  }
}

/** Undefined if the file does not exist. A file whose content is too short or not a token is deleted. */
async function readToken(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim()
    await chmod(file, 0o600)
    if (USABLE.test(text)) return text
    await rm(file)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  return undefined
}

/** Links a complete file, so that no reader finds a part of it. @returns false if another gateway has stored a token */
async function store(text: string, folder: string, file: string): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, `${text}\n`, { mode: 0o600, flag: 'wx' })
  try {
    await link(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await rm(draft, { force: true })
  }
}

function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Digests have one length, and the position of their first difference reveals nothing of the token. */
function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
