// The audit log: a page of it, and the verification of its hash chain.
import { z } from 'zod'
import { type AuditPage, type AuditRecord, CHAIN_FAULTS, type ChainReport } from '../../model/audit-log.ts'
import { VERBS } from '../../model/shared-state.ts'
import { generation, time } from './fields.ts'

export type { AuditPage, AuditRecord, ChainReport }

/** The query of GET `audit`. */
export const auditQuery = z.strictObject({
  context: z.string().min(1).max(200).optional().describe('Only records of this context'),
  cursor: z
    .string()
    .regex(/^[0-9]{16}$/, 'must be the "next" of an earlier response')
    .optional()
    .describe('The "next" of an earlier response: continues after it'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  format: z
    .enum(['json', 'jsonl'])
    .optional()
    .describe('jsonl exports the whole log, one record on each line; requires the role admin'),
})

export const auditRecord = z.object({
  position: z.string(),
  at: time,
  actor: z.string(),
  address: z.string().nullable(),
  verb: z.enum(VERBS),
  context: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  reason: z.string().nullable(),
  until: time.nullable(),
  result: z.enum(['done', 'refused', 'conflict', 'failed']),
  detail: z.string().nullable(),
  generation: generation.nullable(),
  gateway: z.string(),
  previous: z.string().nullable().exactOptional().describe('The hash of the entry before; null for the first entry'),
  hash: z
    .string()
    .exactOptional()
    .describe('SHA-256 of "previous" and the content; absent in entries of a gateway of version 0.1'),
}) satisfies z.ZodType<AuditRecord>

/** Newest first. */
export const auditPage = z.object({
  records: z.array(auditRecord),
  next: z.string().nullable().describe('The cursor of the next page; null on the last page'),
  dropped: z.int().describe('How many older records were removed because the log has a limit'),
}) satisfies z.ZodType<AuditPage>

export const auditVerification = z.object({
  verified: z.int().describe('Entries whose hash and predecessor are right, up to the first fault'),
  unchained: z.int().describe('Entries without a hash, as gateways of version 0.1 write them; they cannot be verified'),
  unchainedAfterStart: z.int().describe('Those of them that are newer than the first chained entry'),
  branches: z
    .int()
    .describe('Entries that follow an earlier entry than the one before them, such as after Redis had lost entries'),
  head: z.string().nullable().describe('The hash of the newest verified entry: keep it in another place'),
  startsAfter: z
    .string()
    .nullable()
    .describe('The hash that the first chained entry follows, if that entry is not in the log any more'),
  broken: z
    .object({ position: z.string(), at: time, fault: z.enum(CHAIN_FAULTS) })
    .nullable()
    .describe('The first entry with a fault'),
}) satisfies z.ZodType<ChainReport>
