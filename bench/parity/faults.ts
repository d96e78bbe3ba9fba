// Faults of the service: which responses have them, how they change a page, and in which fields they show.
import type { Field } from '../../src/model/comparison.ts'
import type { FamilyName } from './families.ts'
import { eachItem, jittered, without } from './noise.ts'
import { type Random, whole } from './random.ts'
import { type Item, nextItem, type Page, type Request } from './shop.ts'

export type Fault = {
  readonly name: string
  /** The share of responses that have the fault, in percent. */
  readonly percent: number
  readonly affects: (request: Request, random: Random) => boolean
  readonly apply: (page: Page, request: Request, random: Random) => Page
  /** The service answers in the format of the other family. */
  readonly swapsFamily?: true
  /** The noise of the same field hides the fault: it shows a limit of the method. */
  readonly isHidden?: true
  /** The field that must be reported. */
  readonly shows: Readonly<Partial<Record<FamilyName, Field>>>
  /** A path below which each difference belongs to this fault, because it moves members. */
  readonly below?: Readonly<Record<FamilyName, string>>
}

export function faultsIn(family: FamilyName): Fault[] {
  return FAULTS.filter((fault) => fault.shows[family] !== undefined)
}

/** Whether it is right to report this field: it is the field of the fault, or below the path that the fault changes. */
export function isCausedBy(fault: Fault, family: FamilyName, field: Field): boolean {
  if (fault.shows[family] === field) return true
  const place = fault.below?.[family]
  if (place === undefined) return false
  const path = field.slice(field.indexOf(' ') + 1)
  return path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[`)
}

const always: Fault['affects'] = () => true

function inPercent(percent: number): Pick<Fault, 'percent' | 'affects'> {
  return { percent, affects: (_, random) => random() * 100 < percent }
}

function oneItem(page: Page, random: Random, change: (item: Item) => Item): Page {
  const index = whole(random, page.items.length)
  return { ...page, items: page.items.map((item, i) => (i === index ? change(item) : item)) }
}

const WRONG_PRICE: Pick<Fault, 'apply' | 'shows' | 'below'> = {
  apply: (page, _, random) => oneItem(page, random, (item) => ({ ...item, price: Number(item.price) + 1 })),
  shows: { json: 'value $.items[*].price', html: 'value $.html.body.main.ul.li.data:price.@value' },
  below: { json: '$.items[*].price', html: '$.html.body.main.ul.li.data:price' },
}
const LIST = { json: '$.items', html: '$.html.body.main.ul' }

export const FAULTS: readonly Fault[] = [
  { name: 'a value wrong', ...inPercent(1), ...WRONG_PRICE },
  {
    name: 'a noisy member missing',
    ...inPercent(1),
    apply: (page, _, random) => oneItem(page, random, (item) => without(item, 'rating')),
    shows: { json: 'missing $.items[*].rating', html: 'missing $.html.body.main.ul.li.meter' },
  },
  { name: 'a value wrong', ...inPercent(0.1), ...WRONG_PRICE },
  {
    name: 'status wrong for one value of a parameter',
    percent: 2,
    affects: ({ category }) => category === 7,
    apply: (page) => ({ ...page, status: 404 }),
    shows: { json: 'status status', html: 'status status' },
  },
  {
    name: 'a nested member missing',
    percent: 100,
    affects: always,
    apply: (page) => eachItem(page, (item) => ({ ...item, stock: without(item.stock, 'warehouse') })),
    shows: { json: 'missing $.items[*].stock.warehouse', html: 'missing $.html.body.main.ul.li.data:stock.abbr' },
  },
  {
    name: 'text for a number',
    percent: 100,
    affects: always,
    apply: (page) => eachItem(page, (item) => ({ ...item, price: `${item.price}` })),
    shows: { json: 'type $.items[*].price' },
  },
  {
    name: 'JSON for HTML',
    percent: 100,
    affects: always,
    apply: (page) => page,
    swapsFamily: true,
    shows: { html: 'type $' },
    below: { json: 'header.content-type', html: 'header.content-type' },
  },
  {
    name: 'the other order',
    percent: 100,
    affects: always,
    apply: (page) => ({ ...page, items: page.items.toReversed() }),
    shows: { json: 'order $.items', html: 'value $.html.body.main.ul.li.@data-item' },
    below: LIST,
  },
  {
    name: 'a page one too long',
    percent: 100,
    affects: always,
    apply: (page, request) => ({ ...page, items: [...page.items, nextItem(request)] }),
    shows: { json: 'length $.items', html: 'extra $.html.body.main.ul.li' },
    below: LIST,
  },
  {
    name: 'a value wrong that jitters anyway',
    ...inPercent(1),
    isHidden: true,
    apply: (page, _, random) =>
      oneItem(page, random, (item) => ({ ...item, rating: jittered((item.rating ?? 0) + 1, random) })),
    shows: { json: 'value $.items[*].rating', html: 'value $.html.body.main.ul.li.meter.@value' },
  },
]
