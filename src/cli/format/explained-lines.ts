// The explanation of a decision, for a person.
import type { Explanation } from '../../admin/contract/explanation.ts'
import { escapeControls } from './print.ts'

/** @param source the gateway or the files that the explanation comes from */
export function explainedLines(explained: Explanation, source: string): string {
  const { request } = explained
  const rows: [string, string][] = []
  if (explained.kind === 'refused') {
    rows.push(['refused', `${explained.status} ${explained.failure}: ${explained.detail}`])
  } else {
    const { path, route, context, identity, flag, side, reason, because, url, fallback } = explained
    rows.push(['path', path])
    rows.push(['route', context === undefined ? 'none: no context owns this path, so the monolith answers it' : route])
    if (context !== undefined) rows.push(['context', `${context.name} (${context.owner})`])
    rows.push([
      'identity',
      identity.kind === 'none'
        ? 'none'
        : `${identity.kind} ${identity.key}${identity.isNew ? ' (created for this request)' : ''}`,
    ])
    if (identity.session !== undefined) rows.push(['session', identity.session])
    if (explained.auth !== undefined) rows.push(['', explained.auth.note])
    if (explained.identityTrouble !== undefined) rows.push(['', explained.identityTrouble])
    if (explained.flagTrouble !== undefined) rows.push(['flags', explained.flagTrouble])
    if (flag !== undefined) rows.push(['flag', `${flag.flag}: ${flag.answer}`], ...strategies(flag))
    if (explained.hashWarning !== undefined) rows.push(['warning', explained.hashWarning])
    rows.push(['side', `${side} → ${url}`])
    rows.push(['reason', `${reason}: ${because}`])
    if (explained.serviceTrouble !== undefined) rows.push(['warning', explained.serviceTrouble])
    const { headers } = explained
    const changes =
      headers === undefined ? [] : [...changed('request', headers.request), ...changed('response', headers.response)]
    rows.push(...changes.map((text, index): [string, string] => [index === 0 ? 'headers' : '', text]))
    rows.push(['fallback', fallback ? 'legacy answers if the service cannot' : 'none'])
  }
  rows.push(['from', source])
  return [request, ...rows.map(([name, value]) => `  ${name.padEnd(10)}${value}`)].map(escapeControls).join('\n')
}

function changed(
  message: 'request' | 'response',
  fields: Readonly<Record<'set' | 'removed', readonly string[]>>,
): string[] {
  return Object.entries(fields).flatMap(([change, names]) =>
    names.length === 0 ? [] : [`${message}: ${names.join(', ')} ${change}`],
  )
}

function strategies(flag: NonNullable<Extract<Explanation, { kind: 'decided' }>['flag']>): [string, string][] {
  if (!flag.known) return [['', 'the flag is not known']]
  if (!flag.enabled) return [['', 'the flag is switched off for everybody']]
  return flag.strategies.map(({ name, allows, constraints, segments, rollout }) => {
    const limits = constraints + segments > 0 ? `, ${constraints} constraints, ${segments} segments` : ''
    if (rollout === undefined) return ['', `${name}${limits}: ${allows ? 'on' : 'off'}`]
    const { percent, stickiness, groupId, value, bucket } = rollout
    const place =
      bucket === undefined
        ? value === undefined
          ? 'no value to hash'
          : `value ${value}`
        : `bucket ${bucket} of 100 (murmur3 of "${groupId}:${value}")`
    return ['', `${name} ${percent} %, stickiness ${stickiness}, ${place}${limits}: ${allows ? 'on' : 'off'}`]
  })
}
