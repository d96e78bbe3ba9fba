// The audit log: a page of it, or all of it as lines.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import type { Control } from '../../control/control.ts'
import type { AuditPage, AuditQuery } from '../../model/audit-log.ts'
import { StoreUnavailable } from '../../model/state-store.ts'
import { type auditAsked, type auditPage, type auditVerification, JSON_LINES, type Said } from '../contract/contract.ts'
import { Refusal } from '../http/problem.ts'
import type { Call, Reply, Stream } from '../http/route.ts'
import { unlessUnavailable } from './unless-unavailable.ts'

const LINES_AT_ONCE = 200

type Asked = z.output<typeof auditAsked>

export async function showAudit(call: Call<Asked>): Promise<Reply<Said<typeof auditPage>> | Stream | Refusal> {
  const { control, input, wantsLines } = call
  return unlessUnavailable(async () => {
    if (input.format === 'jsonl' || (input.format === undefined && wantsLines)) return exportAudit(call)
    return { body: await control.history({ context: input.context, before: input.cursor, limit: input.limit }) }
  })
}

export async function verifyAudit({
  control,
}: Call<unknown>): Promise<Reply<Said<typeof auditVerification>> | Refusal> {
  return unlessUnavailable(async () => ({ body: await control.verifyHistory() }))
}

/** Everything there is, the newest first. The first page is read before anything is said, so that trouble has its status. */
async function exportAudit({ control, input, actor }: Call<Asked>): Promise<Stream | Refusal> {
  if (actor.role !== 'admin') {
    return new Refusal('forbidden', 'all of the log asks for the role admin', { why: `${actor.role} may not export` })
  }
  const query = { context: input.context, limit: LINES_AT_ONCE }
  const first = await control.history({ ...query, before: input.cursor })
  return {
    headers: { 'Content-Type': JSON_LINES, 'X-Audit-Dropped': String(first.dropped) },
    pour: async (response) => {
      try {
        await pipeline(Readable.from(linesFrom(first, query, control)), response)
      } catch (error) {
        // Either the reader has gone, or the store failed on the way: then the answer is cut and not ended, so that half
        // a log does not pass for a whole one.
        if (!isGone(error) && !(error instanceof StoreUnavailable)) throw error
      }
    },
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

async function* linesFrom(first: AuditPage, query: AuditQuery, control: Control): AsyncGenerator<string> {
  for (let page = first; ; page = await control.history({ ...query, before: page.next })) {
    if (page.records.length > 0) yield page.records.map((record) => `${JSON.stringify(record)}\n`).join('')
    if (page.next === null) return
  }
}
