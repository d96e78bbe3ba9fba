// A recording of any format: a list of entries, each of which is a request or the reason why it is not replayed.
import type { HeaderList } from '../model/request-head.ts'

/** A recorded request. */
export type RecordedRequest = {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** The host with its port, if it had one; undefined if the recording does not contain it. */
  readonly host: string | undefined
  /** Whether the client used TLS; undefined if the recording does not contain it. */
  readonly secure: boolean | undefined
  /** The address of the client; undefined if the recording does not contain it. */
  readonly client: string | undefined
  /** `[name, value, ...]`, without Host, framing and other hop-by-hop fields. */
  readonly fields: HeaderList
}

/** Why a readable entry is not replayed. */
export const SKIP_REASONS = {
  'unsafe-method': 'the method may change data: only GET, HEAD and OPTIONS are sent',
  'with-body': 'the request has a body',
  upgrade: 'the request is an upgrade, to WebSocket for example',
  'not-http': 'the URL is not an HTTP URL: data:, blob:, an extension of the browser',
  masked: 'the log masks a value of it (***), so the request is not known',
  cut: 'the log contains only its beginning',
  refused: 'the gateway would refuse it',
  'not-forwarded': 'the gateway or a middleware answers it',
  'other-host': 'its host is not selected; --host selects hosts',
  unowned: 'it belongs to no context',
  'other-context': 'its context is not selected with --context',
  'not-shadowed': 'the config excludes its route from shadowing',
  'needs-token': 'its route requires a token, which only a client has',
} as const satisfies Record<string, string>

export type SkipReason = keyof typeof SKIP_REASONS

/** One parsed line or entry. */
export type ParsedEntry =
  | { readonly kind: 'request'; readonly request: RecordedRequest }
  | { readonly kind: 'skipped'; readonly reason: SkipReason }
  /** `why` does not quote the entry, which may contain anything. */
  | { readonly kind: 'unreadable'; readonly why: string }

/** `number`: its line, or its position in a HAR; from 1. `share`: of the recording that was read with it, from 0 to 1. */
export type RecordingEntry = { readonly number: number; readonly share: number; readonly parsed: ParsedEntry }

export const RECORDING_FORMATS = ['har', 'access-log', 'nginx'] as const
export type RecordingFormat = (typeof RECORDING_FORMATS)[number]

/** A recording or a state file cannot be used. The message contains the reason and the next step. */
export class UnusableRecording extends Error {}
/** An option of the command is wrong. */
export class BadReplayOption extends UnusableRecording {}

/** RFC 9110 section 5.5: visible characters, spaces and bytes above ASCII. */
export function isFieldValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text)
}

export function skipped(reason: SkipReason): ParsedEntry {
  return { kind: 'skipped', reason }
}

export function unreadable(why: string): ParsedEntry {
  return { kind: 'unreadable', why }
}
