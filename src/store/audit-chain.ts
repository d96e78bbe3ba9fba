// The hash chain of the audit log: each entry holds the hash of the entry before it, so that an edited or a missing entry
// can be found. Pure.
import { createHash } from 'node:crypto'
import type { AuditEntry, AuditPage, AuditQuery, AuditRecord, ChainReport } from '../model/audit-log.ts'
import { parseEntry } from './shape.ts'
import { sortedJson } from './sorted-json.ts'

/** An entry as the verification needs it: its place in the chain, without its content. */
export type Link = {
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
 * to the log in Redis computes the same.
 *
 * @param previous null for the first entry of a log
 */
export function chainHash(entry: AuditEntry | AuditRecord, previous: string | null): string {
  return sha256(`${previous ?? ''} ${contentDigest(entry)}`)
}

/** The text of an entry with its place in the chain, which are its last two fields. */
export function chainedText(text: string, previous: string | null): string {
  const hash = chainHash(parseEntry(text), previous)
  return `${text.slice(0, -1)},"previous":${JSON.stringify(previous)},"hash":"${hash}"}`
}

/** The text of an entry as it was before it was chained. */
export function unchainedText(text: string): string {
  return text.replace(CHAIN, '}')
}

/** The hash in the text of an entry; undefined for an unchained one. */
export function hashIn(text: string): string | undefined {
  return CHAIN.exec(text)?.[1]
}

export function linkOf(record: AuditRecord): Link {
  const { position, at, previous, hash } = record
  const isIntact = previous !== undefined && hash === chainHash(record, previous)
  return { position, at, previous: previous ?? null, hash, isIntact }
}

/**
 * Follows the chain up to the first fault. A gateway that puts back what Redis had lost makes a branch: an entry that
 * follows an earlier entry than the one before it. Unchained entries are counted and skipped.
 *
 * @param links the whole log, the oldest first
 */
export function verifyChain(links: readonly Link[]): ChainReport {
  const hashes = new Set(links.map(({ hash }) => hash))
  const passed = new Set<string | null>([null])
  const report = { verified: 0, unchained: 0, unchainedAfterStart: 0, branches: 0 }
  let head: string | null = null
  let startsAfter: string | null = null
  for (const link of links) {
    const { hash, previous, position, at } = link
    if (hash === undefined) {
      report.unchained++
      if (head !== null) report.unchainedAfterStart++
      continue
    }
    if (head === null) {
      // What the limit took away, or a rotation of the file, is not missing.
      startsAfter = previous
      passed.add(previous)
    }
    const fault = faultOf(link, hash, passed, hashes)
    if (fault !== undefined) return { ...report, head, startsAfter, broken: { position, at, fault } }
    if (head !== null && previous !== head) report.branches++
    report.verified++
    passed.add(hash)
    head = hash
  }
  return { ...report, head, startsAfter, broken: null }
}

/** Reads the whole log, page by page, and verifies its chain. */
export async function verifyHistory(history: (query: AuditQuery) => Promise<AuditPage>): Promise<ChainReport> {
  const links: Link[] = []
  let before: string | undefined
  do {
    const page: AuditPage = await history({ limit: PAGE_RECORDS, before })
    for (const record of page.records) links.push(linkOf(record))
    before = page.next ?? undefined
  } while (before !== undefined)
  return verifyChain(links.reverse())
}

function faultOf(
  { previous, isIntact }: Link,
  hash: string,
  passed: ReadonlySet<string | null>,
  hashes: ReadonlySet<string | undefined>,
): Fault | undefined {
  if (!isIntact) return 'edited'
  if (passed.has(hash)) return 'repeated'
  if (previous === null || passed.has(previous)) return undefined
  return hashes.has(previous) ? 'reordered' : 'missing'
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
