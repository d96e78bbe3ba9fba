// Compares two trees of elements. Attributes have no order, children have one. A path consists of the names of the elements, without
// positions: `$.html.body.ul.li.@class`.

import type { Findings } from './findings.ts'
import { textHash } from './json-hash.ts'
import { alignByKey, isAscending, matchMembers, pairLeftOvers } from './list-alignment.ts'
import type { MarkupElement, MarkupNode } from './markup.ts'
import { keySegment, type Path } from './path.ts'

/** Recursive: the nesting of both trees was limited when they were read. */
export function compareMarkup(legacy: MarkupElement, service: MarkupElement, path: Path, findings: Findings): void {
  const hashes = new WeakMap<MarkupElement, number>()
  compareElements(legacy, service, { path, findings, hashOf: (node) => hashOf(node, hashes) })
}

type MarkupWalk = { readonly path: Path; readonly findings: Findings; readonly hashOf: (node: MarkupNode) => number }

function compareElements(legacy: MarkupElement, service: MarkupElement, walk: MarkupWalk): void {
  const { path, findings } = walk
  for (const [name, value] of legacy.attributes) {
    const counterpart = service.attributes.get(name)
    if (counterpart === value) continue
    path.push(keySegment(`@${name}`))
    if (counterpart === undefined) findings.differ(path, 'missing', value, null)
    else findings.leaf(path, value, counterpart)
    path.pop()
  }
  for (const [name, value] of service.attributes) {
    if (legacy.attributes.has(name)) continue
    path.push(keySegment(`@${name}`))
    findings.differ(path, 'extra', null, value)
    path.pop()
  }
  compareChildren(legacy.children, service.children, walk)
}

/**
 * Equal children are paired first, then children of the same name between them; the rest is missing or extra. So an inserted banner
 * is one difference, and not one for each later element.
 */
function compareChildren(legacy: readonly MarkupNode[], service: readonly MarkupNode[], walk: MarkupWalk): void {
  if (legacy.length === 0 && service.length === 0) return
  const hashes = legacy.map(walk.hashOf)
  const others = service.map(walk.hashOf)
  const members = matchMembers(hashes, others)
  if (members.onlyLegacy.length === 0 && members.onlyService.length === 0) {
    if (!isAscending(members.pairs)) walk.findings.differ(walk.path, 'order', outline(legacy), outline(service))
    return
  }
  const byLabel = alignByKey(legacy.map(labelOf), service.map(labelOf))
  const equal = (pairs: readonly (readonly [number, number])[]) =>
    pairs.filter(([i, j]) => hashes[i] === others[j]).length
  const byEquality = pairLeftOvers(alignByKey(hashes, others))
  // The alignment with more equal pairs; by label if both have the same number, so that `<p>` is compared with `<p>`.
  const { pairs, onlyLegacy, onlyService } = equal(byEquality.pairs) > equal(byLabel.pairs) ? byEquality : byLabel
  for (const [i, j] of pairs) {
    const node = legacy[i]!
    const other = service[j]!
    if (hashes[i] === others[j]) continue
    if (labelOf(node) !== labelOf(other)) {
      reportNode(node, 'missing', walk)
      reportNode(other, 'extra', walk)
      continue
    }
    walk.path.push(segmentOf(node))
    if (typeof node === 'string') walk.findings.leaf(walk.path, node, other as string)
    else compareElements(node, other as MarkupElement, walk)
    walk.path.pop()
  }
  for (const i of onlyLegacy) reportNode(legacy[i]!, 'missing', walk)
  for (const j of onlyService) reportNode(service[j]!, 'extra', walk)
}

function reportNode(node: MarkupNode, kind: 'missing' | 'extra', { path, findings }: MarkupWalk): void {
  path.push(segmentOf(node))
  const text = markupText(node)
  findings.differ(path, kind, kind === 'missing' ? text : null, kind === 'extra' ? text : null)
  path.pop()
}

const TEXT = '#text'

function labelOf(node: MarkupNode): string {
  return typeof node === 'string' ? TEXT : node.label
}

function segmentOf(node: MarkupNode): string {
  return keySegment(labelOf(node))
}

/** Covers the whole element. Elements with the same hash count as equal; at 53 bits a collision is negligible. */
function hashOf(node: MarkupNode, hashes: WeakMap<MarkupElement, number>): number {
  if (typeof node === 'string') return textHash(`t${node}`)
  const existing = hashes.get(node)
  if (existing !== undefined) return existing
  const attributes = [...node.attributes].map(([name, value]) => JSON.stringify([name, value])).sort()
  const hash = textHash(
    `e${JSON.stringify([node.label, attributes, node.children.map((child) => hashOf(child, hashes))])}`,
  )
  hashes.set(node, hash)
  return hash
}

function outline(nodes: readonly MarkupNode[]): string {
  return nodes.slice(0, 50).map(markupText).join('').slice(0, MAX_TEXT)
}

/** The start tag and the text, for people. */
function markupText(node: MarkupNode): string {
  if (typeof node === 'string') return node
  const attributes = [...node.attributes].map(([name, value]) => ` ${name}="${value}"`).join('')
  const text = node.children.filter((child) => typeof child === 'string').join(' ')
  return `<${node.label.replace(/[#:].*$/, '')}${attributes}>${text}`
}

const MAX_TEXT = 2000
