// The status of a gateway: its store, its flags, its contexts and the fleet.
import { z } from 'zod'
import type { FileRejection } from '../../model/file-rejection.ts'
import { contextResponse, upstreamView } from './contexts.ts'
import { generation, stamp, time } from './fields.ts'
import { fleetResponse } from './fleet-response.ts'
import type { ResponseOf } from './schema-types.ts'

export type { FileRejection }

const fileRejection = z.object({
  file: z.enum(['map', 'flags']),
  path: z.string(),
  since: time.describe('Since when the content on disk is not in force'),
  mistake: z.string().describe('The first mistake in the content on disk'),
}) satisfies z.ZodType<FileRejection>

const storeStatus = z.object({
  kind: z.enum(['memory', 'file', 'redis']),
  location: z.string(),
  isConnected: z.boolean(),
  cutOffMs: z.number(),
  trouble: z.string().nullable(),
  restored: z
    .object({ at: time, detail: z.string() })
    .nullable()
    .optional()
    .describe('Data that this gateway has restored since its start, after the store had lost it'),
  folderLost: z
    .object({ at: time, generation })
    .nullable()
    .optional()
    .describe('The state folder of this gateway was empty at its start, though the store had a record of the gateway'),
})

const stateFolderStatus = z.object({
  location: z.string(),
  isWritable: z.boolean().describe('False after a write that the disk has refused, until a later write succeeds'),
  trouble: z.string().nullable().describe('The error of that write'),
  since: time.nullable().describe('When it happened'),
  openMode: z
    .string()
    .nullable()
    .optional()
    .describe('Its permissions in octal, if its group or others can write there; null otherwise'),
})

const flagsStatus = z.object({
  source: z.enum(['file', 'unleash']),
  location: z.string(),
  flags: z.number(),
  ageMs: z.number().nullable(),
  stale: z.boolean(),
  trouble: z.string().nullable(),
  isRefused: z.boolean(),
})

export const statusResponse = z.object({
  gateway: z
    .string()
    .optional()
    .describe('The id of the gateway that answers; a gateway before 0.2.0 does not send it'),
  generation,
  kill: stamp.nullable(),
  localKill: z.array(z.string()).describe('Contexts that the kill file of this gateway sends to legacy; * for all'),
  killFileProblems: z
    .array(z.string())
    .optional()
    .describe('Why parts of that file are not used; a gateway before 0.2.0 does not send it'),
  rejectedFiles: z
    .array(fileRejection)
    .optional()
    .describe('Files on disk that this gateway has rejected; a gateway before 0.2.0 does not send it'),
  legacy: upstreamView
    .optional()
    .describe('The addresses of legacy, as this gateway sees them; a gateway before 0.2.0 does not send it'),
  store: storeStatus,
  stateFolder: stateFolderStatus
    .optional()
    .describe('The state folder of this gateway; a gateway before 0.2.0 does not send it'),
  flags: flagsStatus,
  contexts: z.array(contextResponse),
  fleet: fleetResponse,
})
export type StatusResponse = ResponseOf<typeof statusResponse>
