// Replies of the Redis scripts have a fixed shape. These functions check it and give it a type.
import { InvalidStoredValue } from '../state-schema.ts'

/** @throws {InvalidStoredValue} */
export function asArray(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new InvalidStoredValue('a reply of Redis', typeof reply)
  return reply
}

/** @throws {InvalidStoredValue} */
export function asStrings(reply: unknown): readonly string[] {
  return asArray(reply).map(asString)
}

/** @throws {InvalidStoredValue} */
export function asString(reply: unknown): string {
  if (typeof reply !== 'string') throw new InvalidStoredValue('a reply of Redis', typeof reply)
  return reply
}
