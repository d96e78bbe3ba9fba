// Describes a difference in the `before` and `after` of a change or an audit record, whose type is unknown.

/** `value $.price of GET /products`. */
export function describeDifference(record: unknown): string {
  const { field, route } = asDifference(record)
  return typeof field === 'string' && typeof route === 'string' ? `${field} of ${route}` : 'a difference'
}

/** The verdict of an operator: `real`, `noise` or `resolved`; `-` without one. */
export function rulingOf(record: unknown): string {
  const { ruling, resolvedAt } = asDifference(record)
  if (typeof ruling === 'string') return ruling
  return typeof resolvedAt === 'number' ? 'resolved' : '-'
}

type DifferenceRecord = Readonly<Partial<Record<'field' | 'route' | 'ruling' | 'resolvedAt', unknown>>>

function asDifference(record: unknown): DifferenceRecord {
  return typeof record === 'object' && record !== null ? record : {}
}
