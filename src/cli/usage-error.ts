/** The command was asked in a way that makes no sense; the message says what to write instead. */
export class UsageError extends Error {}
