// The statistics of comparisons. Each function is one published method, which its comment names.

/** Two-sided 95 %. */
const Z_95 = 1.959964

type Interval = { readonly lower: number; readonly upper: number }

/**
 * The score interval of a share. Unlike the normal approximation, it stays within 0 and 1, and its width is above 0 even if
 * everything matched.
 *
 * E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209–212; R. G.
 * Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998) 857–872.
 *
 * @param hits of `trials`; without trials the interval is 0 to 1
 */
export function wilson(hits: number, trials: number, z: number = Z_95): Interval {
  if (trials === 0) return { lower: 0, upper: 1 }
  const share = hits / trials
  const square = z * z
  const middle = share + square / (2 * trials)
  const margin = z * Math.sqrt((share * (1 - share)) / trials + square / (4 * trials * trials))
  const scale = 1 + square / trials
  return {
    lower: hits === 0 ? 0 : Math.max(0, (middle - margin) / scale),
    upper: hits === trials ? 1 : Math.min(1, (middle + margin) / scale),
  }
}

/**
 * How many further trials, all of them hits, raise the lower bound of `wilson` to the target; 0 if it is there.
 *
 * @param target below 1: 0.999 for 99.9 %
 */
export function hitsUntil(hits: number, trials: number, target: number, z: number = Z_95): number {
  const reached = (more: number): boolean => wilson(hits + more, trials + more, z).lower >= target
  if (reached(0)) return 0
  let enough = 1
  while (!reached(enough)) enough *= 2
  let short = Math.floor(enough / 2)
  // The bound rises with each hit, so bisection finds the smallest number.
  while (enough - short > 1) {
    const middle = Math.floor((enough + short) / 2)
    if (reached(middle)) enough = middle
    else short = middle
  }
  return enough
}

type Proportion = { readonly hits: number; readonly trials: number }

/**
 * The p-value of the first sample having at least so many hits if its odds are at most `odds` times those of the second sample:
 * the exact conditional test of two proportions, by Fisher's noncentral hypergeometric distribution. It needs no large sample: a
 * fault of one in a thousand shows as a handful of hits against zero.
 *
 * R. A. Fisher, The logic of inductive inference, J. R. Stat. Soc. 98 (1935) 39–82; J. Cornfield, A statistical
 * problem arising from retrospective studies, 3rd Berkeley Symposium IV (1956) 135–148. It equals R's
 * `fisher.test(…, or = odds, alternative = "greater")`.
 */
export function greaterOddsP(first: Proportion, second: Proportion, odds: number = 1): number {
  const total = first.hits + second.hits
  const least = Math.max(0, total - second.trials)
  const most = Math.min(first.trials, total)
  if (first.hits <= least) return 1
  /** The weight of k hits in the first sample, divided by the weight of k - 1. */
  const step = (k: number): number =>
    (odds * (first.trials - k + 1) * (total - k + 1)) / (k * (second.trials - total + k))
  let above = 1
  for (let k = first.hits + 1, weight = 1; k <= most; k++) {
    weight *= step(k)
    above += weight
    if (!Number.isFinite(above)) return 1
    if (weight < above * NEGLIGIBLE && step(k) < 1) break
  }
  let below = 0
  for (let k = first.hits, weight = 1; k > least; k--) {
    weight /= step(k)
    below += weight
    if (above < below * NEGLIGIBLE) return above / below
    if (weight < below * NEGLIGIBLE && step(k) > 1) break
  }
  return above / (above + below)
}

/** A smaller term does not change the sum of doubles. */
const NEGLIGIBLE = 1e-17

/**
 * Which of several hypotheses are rejected. The probability of any false rejection is at most `alpha`, also for dependent
 * hypotheses: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6
 * (1979) 65–70.
 *
 * @returns for each p-value whether its hypothesis is rejected
 */
export function holm(pValues: readonly number[], alpha: number): boolean[] {
  const rejected = pValues.map(() => false)
  const ascending = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p)
  for (const [rank, { p, index }] of ascending.entries()) {
    if (p > alpha / (pValues.length - rank)) break
    rejected[index] = true
  }
  return rejected
}

/**
 * The part of `alpha` that one look may spend, if the same growing counts are tested again and again: one look for each doubling
 * of the sample, with 1/2 + 1/6 + 1/12 + … of `alpha`. The sum is 1, so the probability of an error in any look is at most
 * `alpha`. (Geometric looks with α/k(k+1), as for the law of the iterated logarithm: D. A. Darling and H. Robbins, Confidence
 * sequences for mean, variance, and median, PNAS 58 (1967) 66–68.)
 *
 * @param first the sample of the first look
 */
export function alphaNow(alpha: number, sample: number, first: number): number {
  const look = 1 + Math.max(0, Math.floor(Math.log2(sample / first)))
  return alpha / (look * (look + 1))
}
