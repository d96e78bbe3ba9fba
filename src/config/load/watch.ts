// Watches the content of a file by polling.
import { createHash } from 'node:crypto'
import { readFileSync, type Stats } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'

export type Watch = {
  /** Ends the watch; nothing is reported afterwards. */
  readonly close: () => void
}

/**
 * Calls `onChange` within about a quarter of a second after the content of the file has changed, and once when the file has been
 * missing or unreadable for two seconds: an editor or a deployment that replaces the file takes less. A file that returns sooner
 * with the same content is not a change. The content is read before this function returns: start the watch, then load the file,
 * and no edit between the two is lost.
 */
export function watchFile(file: string, onChange: () => void): Watch {
  let content = hashNow(file)
  let seen: FileLook | undefined
  let missedLooks = 0
  let isOpen = true
  let timer = arm()

  return {
    close: () => {
      isOpen = false
      clearTimeout(timer)
    },
  }

  function arm(): NodeJS.Timeout {
    return setTimeout(look, LOOK_EVERY_MS).unref()
  }

  async function look(): Promise<void> {
    const current = await lookAt(file)
    const isSettled = current !== undefined && seen !== undefined && current.mark === seen.mark
    const mayHaveChanged = isSettled && (current.mark !== seen?.lastReadMark || current.isYoung)
    const digest = mayHaveChanged ? await hash(file) : undefined
    if (!isOpen) return
    timer = arm()
    seen = current && { ...current, lastReadMark: digest === undefined ? seen?.lastReadMark : current.mark }
    const isMissed = current === undefined || (mayHaveChanged && digest === undefined)
    missedLooks = isMissed ? missedLooks + 1 : 0
    const isGone = missedLooks >= GONE_LOOKS && content !== undefined
    if (!isGone && (digest === undefined || digest === content)) return
    content = digest
    onChange()
  }
}

/**
 * The interval of `stat` calls. `fs.watch` would be faster, but it reports nothing on NFS and on some container mounts, it
 * watches the inode that an editor replaces, and it does not see a Kubernetes ConfigMap swap its symlink. A change counts when
 * two calls in a row see the same file, so that a file that is being written is not read.
 */
const LOOK_EVERY_MS = 80
/** A file that is missing for so many looks, which take two seconds, counts as removed. */
const GONE_LOOKS = 25

/** A file that changed this recently is read at every look: its timestamps may be too coarse to distinguish two edits. */
const YOUNG_MS = 3000

type FileLook = {
  /** The identity, size and times of the file. */
  readonly mark: string
  readonly isYoung: boolean
  /** The mark under which the content was last read. */
  readonly lastReadMark?: string | undefined
}

async function lookAt(file: string): Promise<FileLook | undefined> {
  const stats = await stat(file).catch(() => undefined)
  return stats && { mark: markOf(stats), isYoung: Math.abs(Date.now() - stats.mtimeMs) < YOUNG_MS }
}

function markOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

/** Returns undefined if the file cannot be read at this moment: the next look tries again. */
async function hash(file: string): Promise<string | undefined> {
  const content = await readFile(file).catch(() => undefined)
  return content && hashOf(content)
}

function hashNow(file: string): string | undefined {
  try {
    return hashOf(readFileSync(file))
  } catch {
    return undefined
  }
}

function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('base64')
}
