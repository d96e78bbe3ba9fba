// HTML and XML in one normal form: elements with attributes and children, white space folded.

export type MarkupElement = {
  /** `li`, `input:email`, `div#banner`: how it is called in a path. */
  readonly label: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly MarkupNode[]
}

/** An element, or the text between two. */
export type MarkupNode = MarkupElement | string

export type ReadMarkup =
  | { readonly kind: 'read'; readonly root: MarkupElement }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too-deep' }
  | { readonly kind: 'too-complex' }

/** Runs of white space are one space, and text of nothing else is none. Where white space counts it is kept. */
export function foldText(text: string, keepsSpace: boolean): string {
  return keepsSpace ? text.replaceAll('\r\n', '\n').trim() : text.replace(/\s+/g, ' ').trim()
}
