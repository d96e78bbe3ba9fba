// What was recorded, whatever it was recorded by: one entry after another, each a request, or why it is none for us.
import type { HeaderList } from '../model/request-head.ts'

/** A request as it was recorded. */
export type RecordedRequest = {
  readonly method: string
  /** Path and query as they were asked for. */
  readonly target: string
  /** The host that was asked, with its port if it had one; undefined where the recording does not say. */
  readonly host: string | undefined
  /** Whether it was asked over TLS; undefined where the recording does not say. */
  readonly secure: boolean | undefined
  /** Who asked; undefined where the recording does not say. */
  readonly client: string | undefined
  /** `[name, value, ...]`, without Host, framing and what else is between two hops. */
  readonly fields: HeaderList
}

/** What is in a recording and is not replayed: by right, unlike what cannot be read. */
export const SKIP_REASONS = {
  'unsafe-method': 'the method may change something: only GET, HEAD and OPTIONS are ever sent',
  'with-body': 'it came with a body',
  upgrade: 'it left HTTP for WebSocket or the like',
  'not-http': 'it was no HTTP request: data:, blob:, an extension of the browser',
  masked: 'the log hides a value of it (***), so what was asked is not known',
  cut: 'the log keeps only its beginning',
  refused: 'the gateway would refuse it',
  'not-forwarded': 'the gateway or a middleware answers it, neither side',
  'other-host': 'of another host; --host names those that are meant',
  unowned: 'no context owns it',
  'other-context': 'of a context that --context does not name',
  'not-shadowed': 'the config says that it is never shadowed',
  'needs-token': 'its route asks for a token, which only a client can bring',
} as const satisfies Record<string, string>

export type SkipReason = keyof typeof SKIP_REASONS

/** What one line or entry says. */
export type ParsedEntry =
  | { readonly kind: 'request'; readonly request: RecordedRequest }
  | { readonly kind: 'skipped'; readonly reason: SkipReason }
  /** The reason never quotes it: it may hold anything. */
  | { readonly kind: 'unreadable'; readonly why: string }

/** @param at the number of its line, or its place in a HAR; from 1 @param share of the recording behind us, 0 to 1 */
export type RecordingEntry = { readonly number: number; readonly share: number; readonly parsed: ParsedEntry }

export const RECORDING_FORMATS = ['har', 'access-log', 'nginx'] as const
export type RecordingFormat = (typeof RECORDING_FORMATS)[number]

/** A recording, or what is left of a run over one, that cannot be used; the message says why and what to do. */
export class UnusableRecording extends Error {}
/** What was asked for makes no sense. */
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
