// Compares JSON by value: objects without order, lists in order or by their rule, numbers by their numeric value.
import type { DifferenceKind } from '../../model/comparison.ts'
import { type Findings, type Leaf, leafText } from './findings.ts'
import { createJsonHasher, isContainer, type JsonHasher } from './json-hash.ts'
import { sameNumber } from './json-number.ts'
import {
  type Alignment,
  alignByKey,
  isAscending,
  matchByKey,
  matchMembers,
  type Pair,
  pairLeftOvers,
} from './list-alignment.ts'
import { ANY_KEY, DICTIONARY_SIZE, EACH, keySegment, type Path } from './path.ts'
import type { JsonArray, JsonDocument, JsonObject, JsonValue } from './read-json.ts'
import type { ListRule } from './rules.ts'

/** Recursive: the nesting of both documents was limited when they were read. */
export function compareJson(legacy: JsonDocument, service: JsonDocument, path: Path, findings: Findings): void {
  compareValues(legacy.root, service.root, { path, findings, legacy, service, hashOf: createJsonHasher() })
}

/** Whether `compareJson` without rules finds no difference. */
function equalJson(a: JsonValue, b: JsonValue): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false
    for (const [name, member] of a) {
      const counterpart = b.get(name)
      if (counterpart === undefined || !equalJson(member, counterpart)) return false
    }
    return true
  }
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((member, i) => equalJson(member, b[i]!))
  }
  return !isContainer(a) && !isContainer(b) && sameNumber(a, b)
}

type JsonWalk = {
  readonly path: Path
  readonly findings: Findings
  readonly legacy: JsonDocument
  readonly service: JsonDocument
  readonly hashOf: JsonHasher
}

function compareValues(legacy: JsonValue, service: JsonValue, walk: JsonWalk): void {
  if (legacy === service) return
  if (Array.isArray(legacy) && Array.isArray(service)) compareLists(legacy, service, walk)
  else if (legacy instanceof Map && service instanceof Map) compareObjects(legacy, service, walk)
  else if (!isContainer(legacy) && !isContainer(service)) walk.findings.leaf(walk.path, legacy, service)
  else differ(walk, legacy === null || service === null ? 'null' : 'type', legacy, service)
}

function compareObjects(legacy: JsonObject, service: JsonObject, walk: JsonWalk): void {
  const { path, findings } = walk
  const isDictionary = Math.max(legacy.size, service.size) > DICTIONARY_SIZE
  const enter = (name: string): number => path.push(isDictionary ? ANY_KEY : keySegment(name))
  for (const [name, member] of legacy) {
    const counterpart = service.get(name)
    if (member === counterpart) continue
    enter(name)
    if (counterpart === undefined) findings.differ(path, 'missing', jsonText(member), null)
    else compareValues(member, counterpart, walk)
    path.pop()
  }
  for (const [name, member] of service) {
    if (legacy.has(name)) continue
    enter(name)
    findings.differ(path, 'extra', null, jsonText(member))
    path.pop()
  }
  compareRepeated(legacy, service, walk, enter)
}

/** Readers disagree which of two members with one name counts, so a repeated name is a difference by itself. */
function compareRepeated(legacy: JsonObject, service: JsonObject, walk: JsonWalk, enter: (name: string) => void): void {
  const ofLegacy = walk.legacy.repeated.get(legacy)
  const ofService = walk.service.repeated.get(service)
  if (ofLegacy === undefined && ofService === undefined) return
  for (const name of new Set([...(ofLegacy ?? []), ...(ofService ?? [])])) {
    if (ofLegacy?.has(name) === ofService?.has(name)) continue
    enter(name)
    walk.findings.differ(
      walk.path,
      'repeated',
      ofLegacy?.has(name) ? 'twice' : 'once',
      ofService?.has(name) ? 'twice' : 'once',
    )
    walk.path.pop()
  }
}

function compareLists(legacy: JsonArray, service: JsonArray, walk: JsonWalk): void {
  if (equalJson(legacy, service)) return
  const rule = walk.findings.listRule(walk.path)
  if (rule !== undefined) compareByRule(legacy, service, rule, walk)
  else compareInOrder(legacy, service, walk)
}

/**
 * In order. Members with an identifier (`id`) are matched by it, so that another order is one difference and not one for each
 * field. Other members are matched if they are equal, or else by position.
 */
function compareInOrder(legacy: JsonArray, service: JsonArray, walk: JsonWalk): void {
  const sameLength = legacy.length === service.length
  if (!sameLength) walk.findings.differ(walk.path, 'length', `${legacy.length}`, `${service.length}`)
  const byName = matchByName(legacy, service)
  if (byName === undefined) {
    compareUnnamed(legacy, service, walk)
    return
  }
  if (!isAscending(byName.pairs)) differ(walk, 'order', legacy, service)
  comparePairs(legacy, service, pairLeftOvers(byName), walk, sameLength)
}

function compareUnnamed(legacy: JsonArray, service: JsonArray, walk: JsonWalk): void {
  const sameLength = legacy.length === service.length
  const hashes = legacy.map(walk.hashOf)
  const others = service.map(walk.hashOf)
  if (sameLength && matchMembers(hashes, others).onlyLegacy.length === 0) {
    differ(walk, 'order', legacy, service)
    return
  }
  const aligned = pairLeftOvers(alignByKey(hashes, others))
  const atSamePlace = hashes.filter((hash, i) => hash === others[i]).length
  const agreeing = aligned.pairs.filter(([i, j]) => hashes[i] === others[j]).length
  // If moved members do not match more often than members at the same position, positions are used: a list of changed numbers.
  const stays = sameLength && agreeing <= atSamePlace
  comparePairs(legacy, service, stays ? inPlace(legacy.length) : aligned, walk, sameLength)
}

/** @param reportsLeftOvers false if the different lengths already explain the remaining members */
function comparePairs(
  legacy: JsonArray,
  service: JsonArray,
  alignment: Alignment,
  walk: JsonWalk,
  reportsLeftOvers: boolean,
) {
  const { path, findings } = walk
  path.push(EACH)
  for (const [i, j] of alignment.pairs) compareValues(legacy[i]!, service[j]!, walk)
  if (reportsLeftOvers) {
    for (const i of alignment.onlyLegacy) findings.differ(path, 'missing', jsonText(legacy[i]!), null)
    for (const j of alignment.onlyService) findings.differ(path, 'extra', null, jsonText(service[j]!))
  }
  path.pop()
}

function compareByRule(legacy: JsonArray, service: JsonArray, rule: ListRule, walk: JsonWalk): void {
  if (rule.kind === 'sorted') compareSorted(sortedBy(legacy, rule.by), sortedBy(service, rule.by), walk)
  else if (rule.kind === 'keyed') compareKeyed(legacy, service, rule.by, walk)
  else compareSets(legacy, service, walk)
}

function compareSorted(legacy: JsonArray, service: JsonArray, walk: JsonWalk): void {
  if (equalJson(legacy, service)) walk.findings.forgive()
  else compareInOrder(legacy, service, walk)
}

function compareKeyed(legacy: JsonArray, service: JsonArray, name: string, walk: JsonWalk): void {
  // Members without the key are identified by position.
  const keys = (list: JsonArray) => list.map((member, i) => nameIn(member, name) ?? `#${i}`)
  const matched = matchMembers(keys(legacy), keys(service))
  if (!isAscending(matched.pairs)) walk.findings.forgive()
  comparePairs(legacy, service, matched, walk, true)
}

/** Members without an equal on the other side are paired in order. */
function compareSets(legacy: JsonArray, service: JsonArray, walk: JsonWalk): void {
  const { pairs, onlyLegacy, onlyService } = matchMembers(legacy.map(walk.hashOf), service.map(walk.hashOf))
  if (!isAscending(pairs)) walk.findings.forgive()
  if (legacy.length !== service.length) {
    walk.findings.differ(walk.path, 'length', `${legacy.length}`, `${service.length}`)
  }
  const rest = onlyLegacy.slice(0, onlyService.length).map((i, index): Pair => [i, onlyService[index]!])
  comparePairs(legacy, service, { pairs: [...pairs, ...rest], onlyLegacy: [], onlyService: [] }, walk, false)
}

/** By the first usual identifier that all members have; undefined without one, or if less than half of the members match. */
function matchByName(legacy: JsonArray, service: JsonArray): Alignment | undefined {
  for (const name of NAMES) {
    const keys = legacy.map((member) => nameIn(member, name))
    const others = service.map((member) => nameIn(member, name))
    if (!isComplete(keys) || !isComplete(others)) continue
    const matched = matchByKey(keys, others)
    return matched !== undefined && matched.pairs.length * 2 >= Math.min(keys.length, others.length)
      ? matched
      : undefined
  }
  return undefined
}

const NAMES = ['id', '_id', 'uuid', 'key', 'sku', 'code', 'slug', 'name']

function isComplete(keys: readonly (string | undefined)[]): keys is readonly string[] {
  return keys.length > 0 && keys.every((key) => key !== undefined)
}

/** The value of a member's identifier, with its type: 1 and "1" differ. */
function nameIn(member: JsonValue, name: string): string | undefined {
  const value = member instanceof Map ? member.get(name) : undefined
  if (value === undefined || value === null || isContainer(value)) return undefined
  return `${typeof value === 'string' ? 's' : 'v'}${leafText(value as Leaf)}`
}

function sortedBy(list: JsonArray, name: string): JsonArray {
  const keyed = list.map((member) => ({ member, key: nameIn(member, name) ?? '' }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ member }) => member)
}

function inPlace(length: number): Alignment {
  return { pairs: Array.from({ length }, (_, i) => [i, i] as const), onlyLegacy: [], onlyService: [] }
}

function differ({ path, findings }: JsonWalk, kind: DifferenceKind, legacy: JsonValue, service: JsonValue): void {
  findings.differ(path, kind, jsonText(legacy), jsonText(service))
}

/** The value as JSON, for people; a long value is cut. */
function jsonText(value: JsonValue): string {
  if (!isContainer(value)) return leafText(value)
  const written: string[] = []
  writeJson(value, written, { left: MAX_TEXT })
  return written.join('')
}

/** Stops between two values, never within one: masking does not recognise half a secret. */
function writeJson(value: JsonValue, written: string[], budget: { left: number }): void {
  const write = (text: string): void => {
    written.push(text)
    budget.left -= text.length
  }
  if (typeof value === 'string') write(JSON.stringify(value))
  else if (!isContainer(value)) write(leafText(value))
  else {
    const isObject = value instanceof Map
    write(isObject ? '{' : '[')
    let first = true
    for (const [name, member] of isObject ? value : (value as JsonArray).entries()) {
      if (budget.left < 0) break
      if (!first) write(',')
      first = false
      if (isObject) write(`${JSON.stringify(name)}:`)
      writeJson(member, written, budget)
    }
    write(isObject ? '}' : ']')
  }
}

const MAX_TEXT = 2000
