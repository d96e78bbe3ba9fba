// Aligns two texts side by side: lines that both have are in the same row. Pure.

export type Row = { readonly left: string | undefined; readonly right: string | undefined }

/** Aligns by the longest common subsequence of lines. Texts above `MAX_LINES` are not aligned. */
export function sideBySide(left: readonly string[], right: readonly string[]): Row[] {
  if (left.length > MAX_LINES || right.length > MAX_LINES) {
    return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => ({ left: left[i], right: right[i] }))
  }
  return pairRows(alignLines(left, right))
}

const MAX_LINES = 2000

/** Computes the longest common subsequence from the end, and walks through its table. */
function alignLines(left: readonly string[], right: readonly string[]): Row[] {
  const width = right.length + 1
  const common = new Uint16Array((left.length + 1) * width)
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      common[i * width + j] =
        left[i] === right[j]
          ? common[(i + 1) * width + j + 1]! + 1
          : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!)
    }
  }
  const rows: Row[] = []
  let [i, j] = [0, 0]
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) rows.push({ left: left[i++], right: right[j++] })
    else if (j >= right.length || (i < left.length && common[(i + 1) * width + j]! >= common[i * width + j + 1]!)) {
      rows.push({ left: left[i++], right: undefined })
    } else rows.push({ left: undefined, right: right[j++] })
  }
  return rows
}

/** Puts adjacent lines of only the left and only the right text into the same rows. */
function pairRows(rows: readonly Row[]): Row[] {
  const out: Row[] = []
  let [lefts, rights]: [string[], string[]] = [[], []]
  const flush = () => {
    for (let i = 0; i < Math.max(lefts.length, rights.length); i++) out.push({ left: lefts[i], right: rights[i] })
    lefts = []
    rights = []
  }
  for (const { left, right } of rows) {
    if (left !== undefined && right !== undefined) {
      flush()
      out.push({ left, right })
    } else if (left !== undefined) lefts.push(left)
    else if (right !== undefined) rights.push(right)
  }
  flush()
  return out
}

/** The rows that differ, with rows around them; undefined in place of the rows that are left out. */
export function differencesWithContext(rows: readonly Row[], around: number): (Row | undefined)[] {
  const near = rows.map((_, i) => rows.slice(Math.max(0, i - around), i + around + 1).some(isDifferent))
  return rows.flatMap((row, i) => {
    if (near[i]) return [row]
    return i === 0 || near[i - 1] ? [undefined] : []
  })
}

export function isDifferent({ left, right }: Row): boolean {
  return left !== right
}
