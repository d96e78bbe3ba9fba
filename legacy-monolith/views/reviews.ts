// Reviews of a product.
import type { Product } from '../catalog.ts'
import type { Review } from '../reviews.ts'
import { type Html, html } from './html.ts'

export function reviewsPage(product: Product, reviews: readonly Review[]): Html {
  return html`<p><a href="/products/${product.id}">${product.name}</a></p>
${reviews.length === 0 && html`<p>No reviews yet.</p>`}
<ul class="reviews">${reviews.map(
    (review) => html`
<li><p><strong>${'★'.repeat(review.rating)}</strong> ${review.author}, ${review.at.slice(0, 10)}</p>
<p>${review.text}</p>
${review.photo !== null && html`<img src="/uploads/${review.photo}" alt="Photo by ${review.author}" loading="lazy">`}</li>`,
  )}
</ul>
<h2>Write one</h2>
<form method="post" action="/products/${product.id}/reviews" enctype="multipart/form-data">
<label>Rating <input name="rating" type="number" min="1" max="5" value="5"></label>
<label>Text <textarea name="text" maxlength="2000" required></textarea></label>
<label>Photo, up to 2 MiB <input name="photo" type="file" accept="image/jpeg,image/png,image/webp"></label>
<button>Send</button>
</form>`
}
