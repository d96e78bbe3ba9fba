// Shares as a person reads them: in percent, with what is not all never shown as all.

export type Share = { readonly share: number; readonly lower: number; readonly upper: number }

/** `4.1`, `0.02`, `99.93`: where a gate may stand it is cut and not rounded, so that 99.896 does not pass for 99.9. */
export function percent(share: number): string {
  const value = share * 100
  if (share <= 0 || share >= 1) return share <= 0 ? '0' : '100'
  if (value < 0.01) return '<0.01'
  if (value > 99) return trimmed((Math.floor(value * 100 + 1e-9) / 100).toFixed(2))
  return trimmed(value.toFixed(value < 1 ? 2 : 1))
}

function trimmed(text: string): string {
  return text.replace(/\.?0+$/, '')
}

/** `4.1 % (3.5–4.8)`; `-` of nothing. */
export function shareText(share: Share | null): string {
  if (share === null) return '-'
  return `${percent(share.share)} % (${percent(share.lower)}–${percent(share.upper)})`
}

/** `12,345`. */
export function grouped(number: number): string {
  return number.toLocaleString('en')
}
