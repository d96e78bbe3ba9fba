// Parses XML with parse-xml, which ignores DTDs: a declared entity is a syntax error, not an expansion bomb and not a file.
import { parseXml, XmlElement, XmlError, type XmlNode, XmlText } from '@rgrove/parse-xml'
import type { CompareLimits } from './compare-limits.ts'
import { foldText, type MarkupElement, type MarkupNode, type ReadMarkup } from './markup.ts'

export function readXml(text: string, limits: Pick<CompareLimits, 'maxDepth' | 'maxNodes'>): ReadMarkup {
  // Each element has a `<` and each attribute a `=`: their number bounds the tree before it is built.
  if (countOf(text, '<', limits.maxNodes) + countOf(text, '=', limits.maxNodes) > 2 * limits.maxNodes) {
    return { kind: 'too-complex' }
  }
  try {
    const { root } = parseXml(text, { includeOffsets: false })
    if (root === null) return { kind: 'malformed' }
    const read = readElement(root, limits.maxDepth)
    if (read === undefined) return { kind: 'too-deep' }
    return { kind: 'read', root: { label: '', attributes: new Map(), children: [read] } }
  } catch (error) {
    if (error instanceof XmlError) return { kind: 'malformed' }
    // The recursive parser has overflowed the stack. It has no state that needs cleaning up.
    if (error instanceof RangeError) return { kind: 'too-deep' }
    throw error
  }
}

/** @returns undefined if the element is nested deeper than `levels` */
function readElement(element: XmlElement, levels: number): MarkupElement | undefined {
  if (levels === 0) return undefined
  const children: MarkupNode[] = []
  const keepsSpace = element.attributes['xml:space'] === 'preserve'
  for (const node of element.children as readonly XmlNode[]) {
    if (node instanceof XmlText) {
      const text = foldText(node.text, keepsSpace)
      if (text !== '') children.push(text)
    } else if (node instanceof XmlElement) {
      const child = readElement(node, levels - 1)
      if (child === undefined) return undefined
      children.push(child)
    }
  }
  return { label: element.name, attributes: new Map(Object.entries(element.attributes)), children }
}

/** Stops counting above twice the limit. */
function countOf(text: string, character: string, limit: number): number {
  let count = 0
  for (
    let position = text.indexOf(character);
    position !== -1 && count <= 2 * limit;
    position = text.indexOf(character, position + 1)
  )
    count++
  return count
}
