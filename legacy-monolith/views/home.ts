// The home page, and the page for missing resources.
import type { Product } from '../catalog.ts'
import { productCards } from './catalog.ts'
import { type Html, html } from './html.ts'

export function homePage(newest: readonly Product[]): Html {
  return html`<p>Everything for house and garden, from people who use it themselves.</p>
<h2>New</h2>
${productCards(newest)}
<p><a href="/products">All products</a> · <a href="/downloads/catalogue.bin">The print catalogue</a></p>
<h2>Just ordered</h2>
<ol data-order-events></ol>`
}

export function problemPage(message: string): Html {
  return html`<p>${message}</p>
<p><a href="/">Back to the front page</a></p>`
}
