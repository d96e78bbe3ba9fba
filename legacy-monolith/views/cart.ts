// Cart and checkout.
import type { CartItem } from '../cart.ts'
import { shownPrice } from '../money.ts'
import type { User } from '../session.ts'
import { type Html, html } from './html.ts'

export function cartPage(items: readonly CartItem[], totalCents: number): Html {
  if (items.length === 0) return html`<p>The cart is empty. <a href="/products">Look around</a></p>`
  return html`<table>
<thead><tr><th>Product</th><th>Price</th><th>Quantity</th></tr></thead>
<tbody>${items.map(
    (item) => html`
<tr><td><a href="/products/${item.productId}">${item.name}</a></td><td>${shownPrice(item.unitCents)}</td>
<td><form method="post" action="/cart/items/${item.productId}"><input name="quantity" type="number" min="0" max="99" value="${item.quantity}" aria-label="Quantity of ${item.name}"> <button>Change</button></form></td></tr>`,
  )}
</tbody>
</table>
<p>Total <strong>${shownPrice(totalCents)}</strong></p>
<p><a href="/checkout">Check out</a></p>`
}

export function checkoutPage(items: readonly CartItem[], totalCents: number, user: User): Html {
  return html`<p>${items.reduce((sum, item) => sum + item.quantity, 0)} articles for <strong>${shownPrice(totalCents)}</strong>,
sent to ${user.name}, ${user.address || 'the address we will ask for'}.</p>
<form method="post" action="/checkout"><button>Order now</button></form>`
}
