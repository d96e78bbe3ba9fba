// The segments of a path that was written as text: the other way round of `pathText`.

/** Takes what `keySegment` and `namedSegment` make; text that is no path is one segment. */
export function splitPath(path: string): string[] {
  return path.match(/\[\*\]|\["(?:[^"\\]|\\.)*"\]|\.\*|\.[\w@#:-]+|^[$\w]+/g) ?? [path]
}
