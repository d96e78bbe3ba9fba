// Counts are asked for every few seconds: what is wrong with them is told once for each place where it is wrong.

export type TellOnce = (place: string, error: unknown) => void

export function tellOnce(troubled: (error: Error) => void): TellOnce {
  const told = new Set<string>()
  return (place, error) => {
    if (told.has(place)) return
    told.add(place)
    troubled(new Error(`${place} cannot be read, and is left out`, { cause: error }))
  }
}
