// Types of requests and responses, derived from their schemas.
import type { z } from 'zod'

/** The value that a schema parses: the body of a response as its reader gets it. */
export type ResponseOf<Schema extends z.ZodType> = DeepReadonly<z.output<Schema>>
/** The value that a client sends: fields with a default are optional. */
export type RequestOf<Schema extends z.ZodType> = DeepReadonly<z.input<Schema>>

type DeepReadonly<Value> = Value extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
    : Value

/** The keys of a table, as `z.enum` takes them. */
export function namesOf<Name extends string>(table: Readonly<Record<Name, unknown>>): [Name, ...Name[]] {
  return Object.keys(table) as [Name, ...Name[]]
}
