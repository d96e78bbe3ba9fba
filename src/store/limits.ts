// Limits that all stores share.

/** A bounded audit log keeps this many of its newest entries. Older entries are removed and counted as dropped. */
export const AUDIT_LIMIT = 10_000
/** A gateway that has sent no heartbeat for this long is removed from the fleet. */
export const MEMBER_EXPIRY_MS = 15 * 60_000
