// Differences between two correct responses to one request, each at its own rate. The service is as noisy as legacy, so that false
// reports are possible.
import type { Field } from '../../src/model/comparison.ts'
import type { FamilyName } from './families.ts'
import { type Random, shuffled, whole } from './random.ts'
import type { Item, Page } from './shop.ts'

export type Noise = {
  readonly name: string
  /** Changes one response. @param time of the response, in milliseconds since 1970 */
  readonly apply: (page: Page, random: Random, time: number) => Page
  /** The fields in which the noise shows. */
  readonly shows: Readonly<Record<FamilyName, readonly Field[]>>
}

export const NOISE: readonly Noise[] = [
  {
    name: 'id of the request',
    apply: (page, random) => ({ ...page, requestId: hexadecimal(random) }),
    shows: { json: ['value $.requestId'], html: ['value $.html.body.@data-request'] },
  },
  {
    name: 'timestamp',
    apply: (page, _, time) => ({ ...page, generatedAt: new Date(time).toISOString() }),
    shows: { json: ['value $.generatedAt'], html: ['value $.html.body.footer.time.#text'] },
  },
  {
    name: 'time taken',
    apply: (page, random) => ({ ...page, tookMs: 3 + whole(random, 9) }),
    shows: { json: ['value $.tookMs'], html: ['value $.html.body.footer.@data-took'] },
  },
  {
    name: 'rotating banner, one of four',
    apply: (page, random) => ({ ...page, banner: BANNERS[whole(random, BANNERS.length)]! }),
    shows: { json: ['value $.banner.text'], html: ['value $.html.body.aside#banner.p.#text'] },
  },
  {
    name: 'jittered float',
    apply: (page, random) =>
      eachItem(page, (item) => (random() < 0.3 ? { ...item, rating: jittered(item.rating ?? 0, random) } : item)),
    shows: { json: ['value $.items[*].rating'], html: ['value $.html.body.main.ul.li.meter.@value'] },
  },
  {
    name: 'shuffled array, of equals',
    apply: (page, random) => ({ ...page, recommended: shuffled(random, page.recommended) }),
    shows: { json: ['order $.recommended'], html: ['order $.html.body.nav#recommended'] },
  },
  {
    name: 'shuffled array, now and then',
    apply: (page, random) =>
      eachItem(page, (item) => (random() < 0.03 ? { ...item, tags: shuffled(random, item.tags) } : item)),
    shows: { json: ['order $.items[*].tags'], html: ['order $.html.body.main.ul.li.p'] },
  },
  {
    name: 'cookie set now and then',
    apply: (page, random) => (random() < 0.1 ? { ...page, visit: hexadecimal(random) } : page),
    shows: {
      json: ['missing cookie.visit', 'extra cookie.visit'],
      html: ['missing cookie.visit', 'extra cookie.visit'],
    },
  },
  {
    name: 'replica that lags',
    apply: (page, random) =>
      random() < 0.03
        ? eachItem(page, (item) => ({ ...item, stock: { ...item.stock, quantity: item.stock.quantity + 1 } }))
        : page,
    shows: { json: ['value $.items[*].stock.quantity'], html: ['value $.html.body.main.ul.li.data:stock.@value'] },
  },
  {
    name: 'member left out now and then',
    apply: (page, random) => (random() < 0.02 ? without(page, 'promotion') : page),
    shows: {
      json: ['missing $.promotion', 'extra $.promotion'],
      html: ['missing $.html.body.div#promotion', 'extra $.html.body.div#promotion'],
    },
  },
  {
    name: 'deal that ends by the clock',
    apply: (page, _, time) => ({ ...page, deal: `deal ${Math.floor(time / DEAL_MS) % 7}` }),
    shows: { json: ['value $.deal'], html: ['value $.html.body.aside#deal.#text'] },
  },
  {
    name: 'count that is rarely behind',
    apply: (page, random) => (random() < 0.005 ? { ...page, total: page.total - 1 } : page),
    shows: { json: ['value $.page.total'], html: ['value $.html.body.main.h1.#text'] },
  },
  {
    name: 'fallback, once in a thousand answers',
    apply: (page, random) => (random() < 0.001 ? { ...page, recommended: [] } : page),
    shows: {
      json: ['length $.recommended'],
      html: ['missing $.html.body.nav#recommended.a', 'extra $.html.body.nav#recommended.a'],
    },
  },
]

export function withNoise(page: Page, random: Random, time: number): Page {
  return NOISE.reduce((stirred, { apply: stir }) => stir(stirred, random, time), page)
}

export function eachItem(page: Page, change: (item: Item) => Item): Page {
  return { ...page, items: page.items.map(change) }
}

export function without<T extends object, K extends keyof T>(whole: T, name: K): Omit<T, K> {
  const { [name]: _, ...rest } = whole
  return rest
}

export function jittered(value: number, random: Random): number {
  return Math.round((value + (random() - 0.5) * 0.02) * 1e6) / 1e6
}

function hexadecimal(random: Random): string {
  return Array.from({ length: 3 }, () =>
    whole(random, 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('')
}

const BANNERS = ['Free returns', 'New: lamps', 'Gift cards', 'Open on Sunday']
const DEAL_MS = 2000
