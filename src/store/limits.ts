// Limits that all stores share.

/** The newest entries of the audit log that are kept where it is bounded; what goes beyond is counted as dropped. */
export const AUDIT_LIMIT = 10_000
/** A gateway that has been silent for so long is forgotten. */
export const SILENT_MS = 15 * 60_000
