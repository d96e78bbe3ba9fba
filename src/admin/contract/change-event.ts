// The stream of changes.
import { z } from 'zod'
import { VERBS } from '../../model/shared-state.ts'
import { flip, generation, pin, shadow, stamp } from './fields.ts'
import type { ResponseOf } from './schema-types.ts'

/** One event of GET `events`, named `change`. Its id is the generation. */
export const changeEvent = z.object({
  generation,
  kill: stamp.nullable(),
  contexts: z
    .array(
      z.object({
        name: z.string(),
        pin: pin.nullable(),
        freeze: stamp.nullable(),
        flip: flip.nullable(),
        shadow: shadow.nullable(),
        generation,
      }),
    )
    .describe('All contexts with at least one change'),
  changed: stamp
    .extend({ context: z.string(), verb: z.enum(VERBS) })
    .nullable()
    .describe('The change of a context that made this generation; null for any other change, and in the first event'),
  localKill: z
    .array(z.string())
    .optional()
    .describe('Contexts that the kill file of this gateway sends to legacy; a gateway before 0.2.0 does not send it'),
  killFileProblems: z.array(z.string()).optional().describe('Why parts of that file are not used'),
})
export type ChangeEvent = ResponseOf<typeof changeEvent>
