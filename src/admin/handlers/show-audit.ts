// The audit log: one page as JSON, the whole log as JSON Lines, and the verification of its hash chain.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import type { Control } from '../../control/control.ts'
import type { AuditPage, AuditQuery } from '../../model/audit-log.ts'
import { StoreUnavailable } from '../../model/state-store.ts'
import { JSON_LINES } from '../contract/api-paths.ts'
import type { auditPage, auditQuery, auditVerification } from '../contract/audit.ts'
import type { ResponseOf } from '../contract/schema-types.ts'
import type { Call, Reply, Stream } from '../http/api-route.ts'
import { ApiRefusal } from '../http/problem.ts'
import { refuseIfUnavailable } from './refuse-if-unavailable.ts'

const LINES_PER_PAGE = 200

type Input = z.output<typeof auditQuery>

export async function showAudit(call: Call<Input>): Promise<Reply<ResponseOf<typeof auditPage>> | Stream | ApiRefusal> {
  const { control, input, wantsLines } = call
  return refuseIfUnavailable(async () => {
    if (input.format === 'jsonl' || (input.format === undefined && wantsLines)) return exportAudit(call)
    return { body: await control.history({ context: input.context, before: input.cursor, limit: input.limit }) }
  })
}

export async function verifyAudit({
  control,
}: Call<unknown>): Promise<Reply<ResponseOf<typeof auditVerification>> | ApiRefusal> {
  return refuseIfUnavailable(async () => ({ body: await control.verifyHistory() }))
}

/** Exports the whole log, newest first. The first page is read before the response starts, so that a failure gets a status. */
async function exportAudit({ control, input, actor }: Call<Input>): Promise<Stream | ApiRefusal> {
  if (actor.role !== 'admin') {
    return new ApiRefusal('forbidden', 'the export of the whole log requires the role admin', {
      why: `${actor.role} may not export`,
    })
  }
  const query = { context: input.context, limit: LINES_PER_PAGE }
  const first = await control.history({ ...query, before: input.cursor })
  return {
    headers: { 'Content-Type': JSON_LINES, 'X-Audit-Dropped': String(first.dropped) },
    pour: async (response) => {
      try {
        await pipeline(Readable.from(auditLines(first, query, control)), response)
      } catch (error) {
        // The client has disconnected, or the store has failed. The response then breaks off without its proper end, so that
        // the client does not take half a log for the whole log.
        if (!isPrematureClose(error) && !(error instanceof StoreUnavailable)) throw error
      }
    },
  }
}

function isPrematureClose(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

async function* auditLines(first: AuditPage, query: AuditQuery, control: Control): AsyncGenerator<string> {
  for (let page = first; ; page = await control.history({ ...query, before: page.next })) {
    if (page.records.length > 0) yield page.records.map((record) => `${JSON.stringify(record)}\n`).join('')
    if (page.next === null) return
  }
}
