// Reads the audit log from Redis.
import type { AuditPage, AuditQuery, AuditRecord } from '../../model/audit-log.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import type { ErrorReporter } from './error-reporter.ts'
import { entryOf, positionOf } from './local-replica.ts'
import type { RedisClient } from './redis-client.ts'
import { asArray, asStrings } from './replies.ts'
import { HISTORY } from './scripts.ts'

const CHUNK_ENTRIES = 200

export class RedisAuditLog {
  readonly #client: RedisClient
  readonly #errors: ErrorReporter

  constructor(client: RedisClient, errors: ErrorReporter) {
    this.#client = client
    this.#errors = errors
  }

  /** @throws {InvalidStoredValue} if `before` is not a position */
  async page({ context, before: end, limit }: AuditQuery): Promise<AuditPage> {
    const records: AuditRecord[] = []
    let start = end === undefined ? '+inf' : `(${parsePosition(end)}`
    for (;;) {
      const [droppedText, chunk] = asArray(await this.#client.run(HISTORY, [start, String(CHUNK_ENTRIES)]))
      const dropped = Number(droppedText)
      const members = asStrings(chunk)
      for (const member of members) {
        const record = this.#parseMember(member)
        if (record === undefined || (context !== undefined && record.context !== context)) continue
        if (records.length === limit) return { records, next: records.at(-1)?.position ?? null, dropped }
        records.push(record)
      }
      const last = members.at(-1)
      if (last === undefined || members.length < CHUNK_ENTRIES) return { records, next: null, dropped }
      start = `(${positionOf(last)}`
    }
  }

  #parseMember(member: string): AuditRecord | undefined {
    try {
      return { ...entryOf(member), position: positionOf(member) }
    } catch (error) {
      this.#errors.report(new Error('an entry of the audit log in Redis cannot be read', { cause: error }))
      return undefined
    }
  }
}

/** @throws {InvalidStoredValue} */
function parsePosition(text: string): string {
  if (/^\d{16}$/.test(text)) return text
  throw new InvalidStoredValue('a position in the audit log', text.slice(0, 40))
}
