// Parses HTML as a browser does, with parse5, which implements the WHATWG algorithm.
import { type DefaultTreeAdapterTypes, defaultTreeAdapter, html, parse, type TreeAdapter } from 'parse5'
import type { CompareLimits } from './compare-limits.ts'
import { foldText, type MarkupElement, type MarkupNode, type ReadMarkup } from './markup.ts'
import { isIdLike } from './path.ts'

/**
 * Checks the limits while the tree is built: 80 kB of `<font a=1><p><font a=2><p>…` make 12 million elements, because each paragraph
 * repeats all open fonts, and each end tag visits all open elements.
 */
export function readHtml(text: string, limits: Pick<CompareLimits, 'maxDepth' | 'maxNodes'>): ReadMarkup {
  try {
    const document = parse(text, { treeAdapter: boundedAdapter(limits) })
    return {
      kind: 'read',
      root: { label: '', attributes: new Map(), children: readChildren(document.childNodes, false) },
    }
  } catch (error) {
    if (error instanceof LimitExceeded) return { kind: error.limit }
    throw error
  }
}

type Node = DefaultTreeAdapterTypes.ChildNode

class LimitExceeded extends Error {
  readonly limit: 'too-deep' | 'too-complex'

  constructor(limit: 'too-deep' | 'too-complex') {
    super(limit)
    this.limit = limit
  }
}

function boundedAdapter({ maxDepth, maxNodes }: Pick<CompareLimits, 'maxDepth' | 'maxNodes'>) {
  let nodes = 0
  let depth = 0
  const adapter: TreeAdapter<DefaultTreeAdapterTypes.DefaultTreeAdapterMap> = {
    ...defaultTreeAdapter,
    createElement: (name, namespace, attributes) => {
      nodes += 1 + attributes.length
      if (nodes > maxNodes) throw new LimitExceeded('too-complex')
      return defaultTreeAdapter.createElement(name, namespace, attributes)
    },
    onItemPush: () => {
      if (++depth > maxDepth) throw new LimitExceeded('too-deep')
    },
    onItemPop: () => {
      depth--
    },
  }
  return adapter
}

function readChildren(nodes: readonly Node[], keepsSpace: boolean): MarkupNode[] {
  const children: MarkupNode[] = []
  for (const node of nodes) {
    if (node.nodeName === '#documentType') {
      const { name } = node as DefaultTreeAdapterTypes.DocumentType
      children.push({ label: 'doctype', attributes: new Map([['name', name]]), children: [] })
    } else if (node.nodeName === '#text') {
      const text = foldText((node as DefaultTreeAdapterTypes.TextNode).value, keepsSpace)
      if (text !== '') children.push(text)
    } else if ('tagName' in node) children.push(readElement(node))
  }
  return children
}

function readElement(element: DefaultTreeAdapterTypes.Element): MarkupElement {
  const attributes = new Map(
    element.attrs.map(({ prefix, name, value }): [string, string] => {
      const whole = prefix ? `${prefix}:${name}` : name
      return [whole, SETS.has(whole) ? foldSet(value) : value]
    }),
  )
  const nodes =
    'content' in element ? (element as DefaultTreeAdapterTypes.Template).content.childNodes : element.childNodes
  return {
    label: labelOf(element.tagName, attributes),
    attributes,
    children: readChildren(nodes, KEEPS_SPACE.has(element.tagName)),
  }
}

/** With the id or name of the element unless it looks like data, so that the token of a form is a field of its own. */
function labelOf(tag: string, attributes: ReadonlyMap<string, string>): string {
  const id = attributes.get('id')
  if (id !== undefined && isName(id)) return `${tag}#${id}`
  const name = attributes.get('name') ?? attributes.get('property')
  return name !== undefined && isName(name) ? `${tag}:${name}` : tag
}

function isName(text: string): boolean {
  return /^[\w:-]{1,40}$/.test(text) && !isIdLike(text)
}

/** Attributes that are sets of words. */
const SETS: ReadonlySet<string> = new Set(['class', 'rel'])
const KEEPS_SPACE: ReadonlySet<string> = new Set([
  html.TAG_NAMES.PRE,
  html.TAG_NAMES.TEXTAREA,
  html.TAG_NAMES.SCRIPT,
  html.TAG_NAMES.STYLE,
])

function foldSet(value: string): string {
  return [...new Set(value.split(/\s+/).filter((word) => word !== ''))].sort().join(' ')
}
