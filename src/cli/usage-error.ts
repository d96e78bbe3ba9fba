/** The arguments of the command are not valid. The message contains the mistake and its correction. */
export class UsageError extends Error {}
