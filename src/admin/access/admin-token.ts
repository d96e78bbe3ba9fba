// The token of whoever runs this gateway: made on the first start, kept in the state directory, and readable by its owner
// alone. Who deletes the file gets a new one, and the old one is worth nothing from then on.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import type { Events } from '../../telemetry/events.ts'

/** How long what the file said is taken for what it says. */
const LOOK_AGAIN_MS = 1_000
/** What can be said in a header, and cannot be guessed. */
const USABLE = /^[\x21-\x7e]{32,4096}$/

export type IsToken = (text: string) => Promise<boolean>

/** A token that was given in the environment. */
export function givenToken(token: string): IsToken {
  const digest = digestOf(token)
  return async (text) => timingSafeEqual(digest, digestOf(text))
}

type Kept = { readonly text: string; readonly isNew: boolean }

/**
 * The token in `folder`, which is made if there is none. Where the folder cannot be read or written, the last one known
 * goes on, and one that is made lasts as long as the process. A log never contains the token.
 *
 * @param showOnTerminal shows a token that no file holds; undefined where nobody watches a terminal
 */
export async function keptToken(
  folder: string,
  events: Pick<Events, 'adminTokenCreated' | 'stateNotSaved'>,
  now: () => number,
  showOnTerminal?: (sentence: string) => void,
): Promise<IsToken> {
  const file = join(folder, 'admin-token')
  let current: string | undefined
  let digest = digestOf('')
  let lookedAt = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  await look()

  return async (text) => {
    if (now() - lookedAt > LOOK_AGAIN_MS) {
      looking ??= look()
      await looking
    }
    return timingSafeEqual(digest, digestOf(text))
  }

  async function look(): Promise<void> {
    try {
      const { text, isNew } = await readOrMake(folder, file)
      if (text !== current) use(text)
      if (isNew) events.adminTokenCreated({ file, isKept: true })
    } catch (error) {
      if (current !== undefined) return
      const text = makeToken()
      use(text)
      events.stateNotSaved({ file, error })
      events.adminTokenCreated({ file, isKept: false })
      showOnTerminal?.(`the admin token of this process, which ${file} could not take: ${text}`)
    } finally {
      lookedAt = now()
      looking = undefined
    }
  }

  function use(text: string): void {
    current = text
    digest = digestOf(text)
  }
}

async function readOrMake(folder: string, file: string): Promise<Kept> {
  for (;;) {
    const found = await read(file)
    if (found !== undefined) return { text: found, isNew: false }
    const text = makeToken()
    if (await isKept(text, folder, file)) return { text, isNew: true }
  }
}

/** Undefined where there is none. What somebody wrote there and is too short to be safe, or no token, is taken away. */
async function read(file: string): Promise<string | undefined> {
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

/** Linked, not written, so that nobody finds half of it. @returns false if another gateway was quicker */
async function isKept(text: string, folder: string, file: string): Promise<boolean> {
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

function makeToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Digests are of one length, and where they begin to differ tells nothing of the token. */
function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
