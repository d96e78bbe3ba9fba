// The hash chain of the audit log: each entry contains the hash of the entry before it, so that an edited or a missing entry
// is detected. Pure functions.
import { createHash } from 'node:crypto'
import type { AuditEntry, AuditPage, AuditQuery, AuditRecord, ChainReport } from '../model/audit-log.ts'
import { sortedJson } from './sorted-json.ts'
import { parseEntry } from './state-schema.ts'

/** The chain fields of an entry, without its content. */
type ChainLink = {
  readonly position: string
  readonly at: number
  readonly previous: string | null
  /** Undefined for an unchained entry. */
  readonly hash: string | undefined
  /** Whether the hash matches the content. */
  readonly isIntact: boolean
}

type Fault = NonNullable<ChainReport['broken']>['fault']

const CHAIN = /,"previous":(?:null|"[0-9a-f]{64}"),"hash":"([0-9a-f]{64})"\}$/
const PAGE_RECORDS = 200

/** SHA-256, hexadecimal, of the JSON of an entry with sorted keys, without `position`, `previous` and `hash`. */
export function contentDigest(entry: AuditEntry | AuditRecord): string {
  const content = { ...entry, position: undefined, previous: undefined, hash: undefined }
  return sha256(sortedJson(content))
}

/**
 * SHA-256, hexadecimal, of the hash of the entry before, a space, and the digest of the content. The script that appends
 * to the log in Redis computes the same hash.
 *
 * @param previous null for the first entry of a log
 */
export function chainHash(entry: AuditEntry | AuditRecord, previous: string | null): string {
  return sha256(`${previous ?? ''} ${contentDigest(entry)}`)
}

/** Adds `previous` and `hash` to the text of an entry, as its last fields. */
export function addChainFields(text: string, previous: string | null): string {
  const hash = chainHash(parseEntry(text), previous)
  return `${text.slice(0, -1)},"previous":${JSON.stringify(previous)},"hash":"${hash}"}`
}

/** Removes the fields that {@link addChainFields} has added. */
export function removeChainFields(text: string): string {
  return text.replace(CHAIN, '}')
}

/** The hash in the text of an entry; undefined for an unchained entry. */
export function parseHash(text: string): string | undefined {
  return CHAIN.exec(text)?.[1]
}

function toChainLink(record: AuditRecord): ChainLink {
  const { position, previous, hash } = record
  const isIntact = previous !== undefined && hash === chainHash(record, previous)
  return { position, at: record.at, previous: previous ?? null, hash, isIntact }
}

/**
 * Follows the chain up to the first fault. A gateway that restores entries which Redis had lost creates a branch: an entry
 * that follows an earlier entry than the one before it. Unchained entries are counted and skipped.
 *
 * @param links the whole log, the oldest first
 */
function verifyChain(links: readonly ChainLink[]): ChainReport {
  const hashes = new Set(links.map(({ hash }) => hash))
  const verifiedHashes = new Set<string | null>([null])
  const report = { verified: 0, unchained: 0, unchainedAfterStart: 0, branches: 0 }
  let head: string | null = null
  let startsAfter: string | null = null
  for (const link of links) {
    const { hash, previous, position } = link
    if (hash === undefined) {
      report.unchained++
      if (head !== null) report.unchainedAfterStart++
      continue
    }
    if (head === null) {
      // Entries before the first chained one were removed by the limit or by a rotation of the file: they are not missing.
      startsAfter = previous
      verifiedHashes.add(previous)
    }
    const fault = findFault(link, hash, verifiedHashes, hashes)
    if (fault !== undefined) return { ...report, head, startsAfter, broken: { position, at: link.at, fault } }
    if (head !== null && previous !== head) report.branches++
    report.verified++
    verifiedHashes.add(hash)
    head = hash
  }
  return { ...report, head, startsAfter, broken: null }
}

/** Reads the whole log, page by page, and verifies its chain. */
export async function verifyHistory(history: (query: AuditQuery) => Promise<AuditPage>): Promise<ChainReport> {
  const links: ChainLink[] = []
  let position: string | undefined
  do {
    const page: AuditPage = await history({ limit: PAGE_RECORDS, before: position })
    for (const record of page.records) links.push(toChainLink(record))
    position = page.next ?? undefined
  } while (position !== undefined)
  return verifyChain(links.reverse())
}

function findFault(
  { previous, isIntact }: ChainLink,
  hash: string,
  verifiedHashes: ReadonlySet<string | null>,
  hashes: ReadonlySet<string | undefined>,
): Fault | undefined {
  if (!isIntact) return 'edited'
  if (verifiedHashes.has(hash)) return 'repeated'
  if (previous === null || verifiedHashes.has(previous)) return undefined
  return hashes.has(previous) ? 'reordered' : 'missing'
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
