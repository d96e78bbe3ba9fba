// `strangler explain`: why a request would go where it goes, from the config and the flags as they are now.
import { format } from '../../config/mistake.ts'
import { type Explained, explainRequest } from '../../explain.ts'
import { ConfigError } from '../../gateway.ts'
import type { Command } from '../main.ts'
import { argumentsFor, describe, readOptions } from '../options.ts'
import { parse } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

export const explain: Command = {
  summary: 'shows why a request goes to the side it goes to',
  help: `strangler explain: shows why a request goes to the side it goes to

Usage: strangler explain METHOD TARGET [options]

  strangler explain GET /api/orders/42 --user 7

  --user ID               asked by this user (the identity header of the config)
  --session ID            asked with this session (the session cookie of the config)
  --anonymous ID          asked with this anonymous id
  --ip ADDRESS            asked from this client address (default 127.0.0.1)
  --host HOST             asked of this host (default localhost)
  --json                  the trace as JSON
${describe(['config', 'flags'])}

The flags are read from the flags file, or from Unleash where UNLEASH_URL is set. Exits 0, or 1 if the
request would be refused or the config cannot be used.
`,
  run: async (args) => {
    const { values, positionals } = parse(
      args,
      {
        ...argumentsFor(['config', 'flags', 'stateDir']),
        user: { type: 'string' },
        session: { type: 'string' },
        anonymous: { type: 'string' },
        ip: { type: 'string' },
        host: { type: 'string' },
        json: { type: 'boolean' },
      },
      2,
    )
    const [method, target] = positionals
    if (method === undefined || target === undefined) {
      throw new UsageError('say which request: strangler explain GET /api/orders/42 --user 7')
    }
    const { host = 'localhost', ip = '127.0.0.1', user, session, anonymous, json, ...shared } = values
    try {
      const explained = await explainRequest(readOptions(shared), {
        method: method.toUpperCase(),
        target,
        host: host.toLowerCase(),
        address: ip,
        user,
        session,
        anonymous,
      })
      process.stdout.write(json ? `${JSON.stringify(explained, undefined, 2)}\n` : print(explained))
      return explained.kind === 'refused' ? 1 : 0
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      process.stderr.write(`strangler explain: ${error.message}\n${format(error.mistakes)}\n`)
      return 1
    }
  },
}

function print(explained: Explained): string {
  const { request } = explained
  const rows: [string, string][] = []
  if (explained.kind === 'refused') {
    rows.push(['refused', `${explained.status} ${explained.failure}: ${explained.detail}`])
  } else {
    const { path, route, context, identity, flag, side, reason, because, url, fallback } = explained
    rows.push(['path', path])
    rows.push(['route', context === undefined ? 'none: what no context owns is the monolith’s' : route])
    if (context !== undefined) rows.push(['context', `${context.name} (${context.owner})`])
    rows.push([
      'identity',
      identity.kind === 'none'
        ? 'none'
        : `${identity.kind} ${identity.key}${identity.isNew ? ' (made for this request)' : ''}`,
    ])
    if (explained.identityTrouble !== undefined) rows.push(['', explained.identityTrouble])
    if (explained.flagTrouble !== undefined) rows.push(['flags', explained.flagTrouble])
    if (flag !== undefined) rows.push(['flag', `${flag.flag}: ${flag.answer}`], ...strategies(flag))
    rows.push(['side', `${side} → ${url}`])
    rows.push(['reason', `${reason}: ${because}`])
    rows.push(['fallback', fallback ? 'legacy answers if the service cannot and no write can be doubled' : 'none'])
  }
  return `${request}\n${rows.map(([name, value]) => `  ${name.padEnd(10)}${value}`).join('\n')}\n`
}

function strategies(flag: NonNullable<Extract<Explained, { kind: 'decided' }>['flag']>): [string, string][] {
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
