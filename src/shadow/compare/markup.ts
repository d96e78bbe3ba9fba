// The common form of HTML and XML: elements with attributes and children, with folded white space.

export type MarkupElement = {
  /** The name in a path: `li`, `input:email`, `div#banner`. */
  readonly label: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly MarkupNode[]
}

/** An element, or text between elements. */
export type MarkupNode = MarkupElement | string

export type ReadMarkup =
  | { readonly kind: 'read'; readonly root: MarkupElement }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too-deep' }
  | { readonly kind: 'too-complex' }

/** Folds runs of white space to one space. `keepsSpace`: for elements in which white space is significant. */
export function foldText(text: string, keepsSpace: boolean): string {
  return keepsSpace ? text.replaceAll('\r\n', '\n').trim() : text.replace(/\s+/g, ' ').trim()
}
