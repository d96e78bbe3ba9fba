// The one table of everything that can go wrong with a request.

type Blame = 'client' | 'target' | 'gateway'

type FailureFacts = {
  /** The status of the response; 499 is only recorded, because the client has gone. */
  readonly status: number
  readonly blame: Blame
  /** Whether no upstream can have processed any part of the request, so that a retry is safe for every method. */
  readonly nothingSent: boolean
  /** The title of the problem document (RFC 9457), which reveals nothing internal. */
  readonly title: string
}

/** Every failure: its status, its blame, and whether a retry can repeat a write. */
export const FAILURES = {
  // Failures of the client. The request is refused before anything is forwarded.
  malformed: { status: 400, blame: 'client', nothingSent: true, title: 'The request is not valid HTTP' },
  'bad-host': { status: 400, blame: 'client', nothingSent: true, title: 'The Host header is missing or not valid' },
  'bad-target': { status: 400, blame: 'client', nothingSent: true, title: 'The request target is not valid' },
  'bad-header': { status: 400, blame: 'client', nothingSent: true, title: 'A request header is not valid' },
  'bad-framing': {
    status: 400,
    blame: 'client',
    nothingSent: true,
    title: 'The length of the request body is ambiguous',
  },
  'coding-unknown': {
    status: 501,
    blame: 'client',
    nothingSent: true,
    title: 'The transfer coding of the request is not supported',
  },
  'bad-upgrade': { status: 400, blame: 'client', nothingSent: true, title: 'The protocol upgrade is not valid here' },
  unauthenticated: { status: 401, blame: 'client', nothingSent: true, title: 'A valid access token is required' },
  forbidden: { status: 403, blame: 'client', nothingSent: true, title: 'The access token does not allow this' },
  'method-refused': { status: 405, blame: 'client', nothingSent: true, title: 'The method is not allowed' },
  'slow-request': { status: 408, blame: 'client', nothingSent: true, title: 'The request took too long to arrive' },
  'body-too-large': { status: 413, blame: 'client', nothingSent: true, title: 'The request body is too large' },
  'target-too-long': { status: 414, blame: 'client', nothingSent: true, title: 'The request target is too long' },
  'expectation-unknown': { status: 417, blame: 'client', nothingSent: true, title: 'The expectation cannot be met' },
  'headers-too-large': { status: 431, blame: 'client', nothingSent: true, title: 'The request headers are too large' },
  'client-gone': { status: 499, blame: 'client', nothingSent: false, title: 'The client went away' },
  // Failures of the upstream.
  'connect-refused': { status: 502, blame: 'target', nothingSent: true, title: 'The service is not reachable' },
  'connect-timeout': { status: 504, blame: 'target', nothingSent: true, title: 'The service did not accept in time' },
  'connection-lost': { status: 502, blame: 'target', nothingSent: false, title: 'The service closed the connection' },
  'response-timeout': { status: 504, blame: 'target', nothingSent: false, title: 'The service did not answer in time' },
  'response-malformed': { status: 502, blame: 'target', nothingSent: false, title: 'The service sent a bad response' },
  'response-broken': { status: 502, blame: 'target', nothingSent: false, title: 'The service broke off its response' },
  // Failures of the gateway.
  overloaded: { status: 503, blame: 'gateway', nothingSent: true, title: 'Too many requests are waiting' },
  unavailable: { status: 503, blame: 'target', nothingSent: true, title: 'The service is not available' },
  'keys-unreachable': {
    status: 503,
    blame: 'gateway',
    nothingSent: true,
    title: 'Access tokens cannot be verified at the moment',
  },
  loop: { status: 508, blame: 'gateway', nothingSent: true, title: 'The request came back to this gateway' },
  internal: { status: 500, blame: 'gateway', nothingSent: false, title: 'The gateway failed' },
} as const satisfies Record<string, FailureFacts>

export type Failure = keyof typeof FAILURES
