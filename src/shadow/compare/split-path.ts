// Splits the text of a path into segments: the inverse of `pathText`.

/** Accepts segments of `keySegment` and `namedSegment`; any other text is one segment. */
export function splitPath(path: string): string[] {
  return path.match(/\[\*\]|\["(?:[^"\\]|\\.)*"\]|\.\*|\.[\w@#:-]+|^[$\w]+/g) ?? [path]
}
