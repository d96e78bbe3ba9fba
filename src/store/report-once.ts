// Counts are read every few seconds: an unreadable entry is reported once for each location, not at each read.

/** @param location the file or key that cannot be read */
export type ReportUnreadable = (location: string, error: unknown) => void

export function reportUnreadableOnce(reportError: (error: Error) => void): ReportUnreadable {
  const reportedLocations = new Set<string>()
  return (location, error) => {
    if (reportedLocations.has(location)) return
    reportedLocations.add(location)
    reportError(new Error(`${location} cannot be read, and is left out`, { cause: error }))
  }
}
