// The rules that a refused request can break. Clients receive the rule as `rule` of the problem document.
// docs/security.md has an entry for each.
import type { Failure } from './failures.ts'

/** All rules, in the order of docs/security.md. The names are stable: clients and alerts match them. */
export const REFUSAL_RULES = [
  'http-syntax',
  'protocol',
  'host',
  'target-form',
  'path-characters',
  'path-escapes',
  'dot-segments',
  'encoded-slash',
  'framing',
  'transfer-coding',
  'header-value',
  'method',
  'upgrade',
  'expectation',
  'target-size',
  'header-size',
  'body-size',
  'request-time',
  'token',
  'scope',
  'loop',
] as const

export type RefusalRule = (typeof REFUSAL_RULES)[number]

/** The rule of a failure, unless the refusal names a narrower rule. Failures that no client causes have no rule. */
export const RULE_OF_FAILURE: Readonly<Partial<Record<Failure, RefusalRule>>> = {
  malformed: 'http-syntax',
  'bad-host': 'host',
  'bad-target': 'target-form',
  'bad-header': 'header-value',
  'bad-framing': 'framing',
  'coding-unknown': 'transfer-coding',
  'bad-upgrade': 'upgrade',
  unauthenticated: 'token',
  forbidden: 'scope',
  'method-refused': 'method',
  'slow-request': 'request-time',
  'body-too-large': 'body-size',
  'target-too-long': 'target-size',
  'expectation-unknown': 'expectation',
  'headers-too-large': 'header-size',
  loop: 'loop',
}

/** The rule of an error code of Node's HTTP parser. */
export const RULE_OF_PARSE_ERROR: Readonly<Record<string, RefusalRule>> = {
  HPE_INVALID_VERSION: 'protocol',
  HPE_INVALID_CONSTANT: 'protocol',
  HPE_INVALID_METHOD: 'method',
  HPE_INVALID_CONTENT_LENGTH: 'framing',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'framing',
  HPE_INVALID_TRANSFER_ENCODING: 'framing',
  HPE_INVALID_CHUNK_SIZE: 'framing',
  HPE_INVALID_HEADER_TOKEN: 'header-value',
}
