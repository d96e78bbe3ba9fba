// Product list, product page and search results.
import type { Category, Listing, Product, ProductPage } from '../catalog.ts'
import { shownPrice, withTax } from '../money.ts'
import { type Html, html } from './html.ts'

export function productList(listing: Listing, page: ProductPage, categories: readonly Category[]): Html {
  return html`<nav class="categories" aria-label="Categories"><a href="/products">All</a>
${categories.map((category) => html`<a href="/products?category=${category.slug}">${category.name} (${category.products})</a>\n`)}</nav>
${productCards(page.products)}
${pages(listing, page.total)}`
}

export function searchResults(listing: Listing, page: ProductPage): Html {
  return html`<form action="/search"><input name="q" type="search" value="${listing.words}" aria-label="Search"> <button>Search</button></form>
<p>${page.total} ${page.total === 1 ? 'product' : 'products'} found</p>
${productCards(page.products)}
${pages(listing, page.total)}`
}

export function productPage(product: Product): Html {
  return html`<article class="product">
<p class="category"><a href="/products?category=${product.category}">${product.categoryName}</a></p>
<p>${product.description}</p>
<dl>
<dt>Article</dt><dd>${product.sku}</dd>
<dt>Price</dt><dd>${shownPrice(product.priceCents)} plus ${product.taxPercent} % tax</dd>
<dt>Price with tax</dt><dd>${priceWithTax(product)}</dd>
</dl>
<form method="post" action="/cart/items">
<input type="hidden" name="productId" value="${product.id}">
<label>Quantity <input name="quantity" type="number" min="1" max="99" value="1"></label>
<button>Add to cart</button>
</form>
<p><a href="/products/${product.id}/reviews">Reviews</a></p>
</article>`
}

export function productCards(products: readonly Product[]): Html {
  return html`<ul class="products">
${products.map(
  (product) => html`<li>
<a href="/products/${product.id}">${product.name}</a>
${priceWithTax(product)}
</li>
`,
)}</ul>`
}

function priceWithTax(product: Product): Html {
  return html`<span class="price-with-tax">${shownPrice(withTax(product.priceCents, product.taxPercent))}</span>`
}

function pages(listing: Listing, total: number): Html {
  const last = Math.max(1, Math.ceil(total / listing.pageSize))
  return html`<nav class="pages" aria-label="Pages">
${listing.page > 1 && html`<a rel="prev" href="?${listingQuery(listing, listing.page - 1)}">Previous</a>`}
<span>Page ${listing.page} of ${last}</span>
${listing.page < last && html`<a rel="next" href="?${listingQuery(listing, listing.page + 1)}">Next</a>`}
</nav>`
}

function listingQuery(listing: Listing, page: number): string {
  const query = new URLSearchParams()
  if (listing.words) query.set('q', listing.words)
  if (listing.category) query.set('category', listing.category)
  query.set('sort', listing.sort)
  query.set('page', String(page))
  query.set('pageSize', String(listing.pageSize))
  return query.toString()
}
