// A difference that an operator has spoken of, in words: as answers and the audit log have it.

/** `value $.price of GET /products`. */
export function differenceIn(said: unknown): string {
  const { field, route } = asDifference(said)
  return typeof field === 'string' && typeof route === 'string' ? `${field} of ${route}` : 'a difference'
}

/** What became of it: `real`, `noise`, `resolved`; `-` where nothing is said of it. */
export function saidOf(said: unknown): string {
  const { ruling, resolvedAt } = asDifference(said)
  if (typeof ruling === 'string') return ruling
  return typeof resolvedAt === 'number' ? 'resolved' : '-'
}

type Difference = Readonly<Partial<Record<'field' | 'route' | 'ruling' | 'resolvedAt', unknown>>>

function asDifference(said: unknown): Difference {
  return typeof said === 'object' && said !== null ? said : {}
}
