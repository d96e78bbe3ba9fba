/** Node's own shortcut behind `toString('latin1')`, missing from its types. */
type Latin1Buffer = Buffer & { latin1Slice: (start: number, end: number) => string }

/** The bytes from `start` to `end` as text with one character for each byte. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as Latin1Buffer).latin1Slice(start, end)
}
