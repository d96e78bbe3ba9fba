// A shop, its requests, and the correct page for each. Pages depend on the request alone; `noise.ts` and `faults.ts` change them.
import { type Random, seeded, whole } from './random.ts'

export type Request = {
  readonly number: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly category: number
  readonly page: number
}

export type Page = {
  readonly status: number
  readonly requestId: string
  readonly generatedAt: string
  readonly tookMs: number
  readonly banner: string
  readonly deal: string
  readonly promotion?: string
  /** A cookie that the response sets. */
  readonly visit?: string
  readonly page: number
  readonly total: number
  readonly items: readonly Item[]
  readonly recommended: readonly string[]
}

export type Item = {
  readonly id: string
  readonly name: string
  readonly price: number | string
  readonly rating?: number
  readonly tags: readonly string[]
  readonly stock: { readonly quantity: number; readonly warehouse?: string }
}

const CATEGORIES = 50

export function requestOf(number: number, random: Random): Request {
  const time = BEGINNING + number * 250 + whole(random, 250)
  return { number, at: time, category: whole(random, CATEGORIES), page: 1 + whole(random, 20) }
}

/** The page without noise and without faults. */
export function rightPage({ category, page }: Request): Page {
  const random = seeded(category, page, CATALOGUE)
  return {
    status: 200,
    requestId: '',
    generatedAt: '',
    tookMs: 7,
    banner: 'Free returns',
    deal: 'none',
    promotion: 'Three for two',
    page,
    total: 400 + category,
    items: Array.from({ length: PAGE_SIZE }, (_, i) => itemOf(category, page, i, random)),
    recommended: ['linen apron', 'oak board', 'tea towel', 'steel whisk'],
  }
}

/** The item after the last one of the page. */
export function nextItem({ category, page }: Request): Item {
  return itemOf(category, page, PAGE_SIZE, seeded(category, page, CATALOGUE, PAGE_SIZE))
}

function itemOf(category: number, page: number, i: number, random: Random): Item {
  return {
    id: `c${category}-p${page}-${i}`,
    name: `${WORDS[whole(random, WORDS.length)]} ${WORDS[i % WORDS.length]} ${page}`,
    price: (100 + whole(random, 9900)) / 100,
    rating: (20 + whole(random, 30)) / 10,
    tags: ['sale', 'gift', 'new'],
    stock: { quantity: 1 + whole(random, 80), warehouse: `W${1 + whole(random, 4)}` },
  }
}

const PAGE_SIZE = 4
const WORDS = ['kettle', 'lamp', 'jug', 'basket', 'mirror', 'bench', 'vase']
const BEGINNING = Date.UTC(2026, 0, 5, 9)
const CATALOGUE = 7
