// Addresses and media types of the admin API.

/** The path of the API on the admin port. */
export const API = '/api/v1'

/** The path of each resource, relative to {@link API}. `:id` and `:fingerprint` are parameters. */
export const PATHS = {
  status: '/status',
  contexts: '/contexts',
  context: '/contexts/:id',
  flag: '/contexts/:id/flag',
  pin: '/contexts/:id/pin',
  freeze: '/contexts/:id/freeze',
  shadow: '/contexts/:id/shadow',
  rollback: '/contexts/:id/rollback',
  parity: '/parity',
  differences: '/contexts/:id/differences',
  tryRule: '/contexts/:id/try-rule',
  difference: '/differences/:fingerprint',
  ruling: '/differences/:fingerprint/ruling',
  resolution: '/differences/:fingerprint/resolution',
  export: '/differences/:fingerprint/export',
  killSwitch: '/kill-switch',
  fleet: '/fleet',
  fleetMember: '/fleet/:id',
  audit: '/audit',
  auditVerification: '/audit/verification',
  explain: '/explain',
  events: '/events',
  openapi: '/openapi.json',
} as const

/** JSON Lines: one record on each line. The export of the audit log. */
export const JSON_LINES = 'application/jsonl'
/** Server-sent events. */
export const EVENT_STREAM = 'text/event-stream'
