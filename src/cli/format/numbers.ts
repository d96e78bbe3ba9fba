// Formats shares and counts. A share below 1 is never shown as 100 %.

type ShareWithBounds = { readonly share: number; readonly lower: number; readonly upper: number }

/** `4.1`, `0.02`, `99.93`. Above 99 % it is cut and not rounded, so that 99.896 is not shown as a target of 99.9 that is reached. */
export function formatPercent(share: number): string {
  const value = share * 100
  if (share <= 0 || share >= 1) return share <= 0 ? '0' : '100'
  if (value < 0.01) return '<0.01'
  if (value > 99) return trimZeros((Math.floor(value * 100 + 1e-9) / 100).toFixed(2))
  return trimZeros(value.toFixed(value < 1 ? 2 : 1))
}

function trimZeros(text: string): string {
  return text.replace(/\.?0+$/, '')
}

/** `4.1 % (3.5–4.8)`; `-` without a share. */
export function formatShare(share: ShareWithBounds | null): string {
  if (share === null) return '-'
  return `${formatPercent(share.share)} % (${formatPercent(share.lower)}–${formatPercent(share.upper)})`
}

/** `12,345`. */
export function formatNumber(number: number): string {
  return number.toLocaleString('en')
}
