// Notices that a file was edited, however that was done.
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
  let seen: Sight | undefined
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
    const sight = await lookAt(file)
    const isSettled = sight !== undefined && seen !== undefined && sight.mark === seen.mark
    const isNews = isSettled && (sight.mark !== seen?.readAs || sight.isYoung)
    const found = isNews ? await hash(file) : undefined
    if (!isOpen) return
    timer = arm()
    seen = sight && { ...sight, readAs: found === undefined ? seen?.readAs : sight.mark }
    const isMissed = sight === undefined || (isNews && found === undefined)
    missedLooks = isMissed ? missedLooks + 1 : 0
    const isGone = missedLooks >= GONE_LOOKS && content !== undefined
    if (!isGone && (found === undefined || found === content)) return
    content = found
    onChange()
  }
}

/**
 * Looking is a `stat` by timer. `fs.watch` would tell sooner, but says nothing on NFS and on some container mounts,
 * watches the inode that an editor has just replaced, and does not see a Kubernetes ConfigMap swap its symlink.
 * A change is taken up at the second look that finds the file the same, so that a half-written one is not.
 */
const LOOK_EVERY_MS = 80
/** Two seconds. */
const GONE_LOOKS = 25

/** A file changed this recently is read at every look: its times may be too coarse to tell one edit from the next. */
const YOUNG_MS = 3000

type Sight = {
  /** What changes with the file: its identity, size and times. */
  readonly mark: string
  readonly isYoung: boolean
  /** The mark under which the content was last read. */
  readonly readAs?: string | undefined
}

async function lookAt(file: string): Promise<Sight | undefined> {
  const stats = await stat(file).catch(() => undefined)
  return stats && { mark: markOf(stats), isYoung: Math.abs(Date.now() - stats.mtimeMs) < YOUNG_MS }
}

function markOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

/** Undefined where the file cannot be read just now: the next look tries again. */
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
