// Finds the members of two lists that belong together, so that one inserted or removed member does not make all later members look
// changed.

export type Pair = readonly [legacy: number, service: number]

export type Alignment = {
  /** In ascending order on both sides. */
  readonly pairs: readonly Pair[]
  readonly onlyLegacy: readonly number[]
  readonly onlyService: readonly number[]
}

/** By the longest common subsequence of the keys; by position where the lists are too long for that. */
export function alignByKey(legacy: readonly Key[], service: readonly Key[]): Alignment {
  let start = 0
  let legacyEnd = legacy.length
  let serviceEnd = service.length
  while (start < legacyEnd && start < serviceEnd && legacy[start] === service[start]) start++
  while (legacyEnd > start && serviceEnd > start && legacy[legacyEnd - 1] === service[serviceEnd - 1]) {
    legacyEnd--
    serviceEnd--
  }
  const pairs: Pair[] = []
  for (let i = 0; i < start; i++) pairs.push([i, i])
  const cells = (legacyEnd - start) * (serviceEnd - start)
  if (cells > 0 && cells <= MAX_CELLS) pairs.push(...longestCommonPairs(legacy, service, start, legacyEnd, serviceEnd))
  for (let i = legacyEnd, j = serviceEnd; i < legacy.length; i++, j++) pairs.push([i, j])
  return { pairs, ...leftOvers(pairs, legacy.length, service.length) }
}

/** By equal keys at any position; undefined if a side has a key twice. */
export function matchByKey(legacy: readonly Key[], service: readonly Key[]): Alignment | undefined {
  const positionByKey = new Map(service.map((key, j) => [key, j]))
  if (positionByKey.size < service.length || new Set(legacy).size < legacy.length) return undefined
  const pairs = legacy.flatMap((key, i): Pair[] => {
    const j = positionByKey.get(key)
    return j === undefined ? [] : [[i, j]]
  })
  return { pairs, ...leftOvers(pairs, legacy.length, service.length) }
}

/** By equal keys at any position; a key may be repeated. */
export function matchMembers(legacy: readonly Key[], service: readonly Key[]): Alignment {
  const positionsByKey = new Map<Key, number[]>()
  // Backwards, so that `pop` returns the first position.
  for (let j = service.length - 1; j >= 0; j--) {
    const key = service[j]!
    const positions = positionsByKey.get(key)
    if (positions === undefined) positionsByKey.set(key, [j])
    else positions.push(j)
  }
  const pairs = legacy.flatMap((key, i): Pair[] => {
    const j = positionsByKey.get(key)?.pop()
    return j === undefined ? [] : [[i, j]]
  })
  return { pairs, ...leftOvers(pairs, legacy.length, service.length) }
}

/**
 * Pairs the remaining members between two pairs one by one: a changed member has the same neighbours on both sides.
 */
export function pairLeftOvers({ pairs, onlyLegacy, onlyService }: Alignment): Alignment {
  const more: Pair[] = []
  const leftLegacy: number[] = []
  const leftService: number[] = []
  const borders: Pair[] = [...pairs, [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]]
  let i = 0
  let j = 0
  for (const [legacyEnd, serviceEnd] of borders) {
    while (i < onlyLegacy.length && j < onlyService.length) {
      if (onlyLegacy[i]! > legacyEnd || onlyService[j]! > serviceEnd) break
      more.push([onlyLegacy[i++]!, onlyService[j++]!])
    }
    while (i < onlyLegacy.length && onlyLegacy[i]! < legacyEnd) leftLegacy.push(onlyLegacy[i++]!)
    while (j < onlyService.length && onlyService[j]! < serviceEnd) leftService.push(onlyService[j++]!)
  }
  return { pairs: [...pairs, ...more], onlyLegacy: leftLegacy, onlyService: leftService }
}

export function isAscending(pairs: readonly Pair[]): boolean {
  return pairs.every(([, j], index) => index === 0 || pairs[index - 1]![1] < j)
}

type Key = string | number

/** The table has a cell of four bytes for each pair of members; this size takes about a millisecond. */
const MAX_CELLS = 100_000

/** The dynamic-programming table, filled from the end so that it is read from the start. */
function longestCommonPairs(
  legacy: readonly Key[],
  service: readonly Key[],
  start: number,
  legacyEnd: number,
  serviceEnd: number,
) {
  const rows = legacyEnd - start
  const columns = serviceEnd - start
  const width = columns + 1
  const longest = new Uint32Array((rows + 1) * width)
  for (let row = rows - 1; row >= 0; row--) {
    for (let column = columns - 1; column >= 0; column--) {
      const cell = row * width + column
      longest[cell] =
        legacy[start + row] === service[start + column]
          ? longest[cell + width + 1]! + 1
          : Math.max(longest[cell + width]!, longest[cell + 1]!)
    }
  }
  const pairs: Pair[] = []
  for (let row = 0, column = 0; row < rows && column < columns; ) {
    const cell = row * width + column
    if (legacy[start + row] === service[start + column]) pairs.push([start + row++, start + column++])
    else if (longest[cell + width]! >= longest[cell + 1]!) row++
    else column++
  }
  return pairs
}

function leftOvers(pairs: readonly Pair[], legacyLength: number, serviceLength: number) {
  const legacy = new Set(pairs.map(([i]) => i))
  const service = new Set(pairs.map(([, j]) => j))
  const without = (length: number, taken: ReadonlySet<number>) =>
    Array.from({ length }, (_, index) => index).filter((index) => !taken.has(index))
  return { onlyLegacy: without(legacyLength, legacy), onlyService: without(serviceLength, service) }
}
