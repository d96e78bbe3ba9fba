// Orders. With `data-live-orders`, app.js updates the page over the WebSocket.
import { shownPrice } from '../money.ts'
import { type Order, type OrderItem, orderNumber } from '../orders.ts'
import { type Html, html } from './html.ts'

export function orderList(orders: readonly Order[]): Html {
  if (orders.length === 0) return html`<p>No orders yet.</p>`
  return html`<table data-live-orders>
<thead><tr><th>Order</th><th>Placed</th><th>Total</th><th>Status</th></tr></thead>
<tbody>${orders.map(
    (order) => html`
<tr data-order="${order.id}"><td><a href="/orders/${order.id}">${orderNumber(order)}</a></td><td>${order.placedAt.slice(0, 10)}</td><td>${shownPrice(order.totalCents)}</td><td data-status>${order.status}</td></tr>`,
  )}
</tbody>
</table>`
}

export function orderPage(order: Order, items: readonly OrderItem[]): Html {
  return html`<div data-live-orders data-order="${order.id}">
<p>Placed ${order.placedAt.slice(0, 10)}, <strong data-status>${order.status}</strong></p>
<ul>${items.map(
    (item) => html`
<li>${item.quantity} × <a href="/products/${item.productId}">${item.name}</a> at ${shownPrice(item.unitCents)}</li>`,
  )}
</ul>
<p>Total <strong>${shownPrice(order.totalCents)}</strong></p>
${order.status === 'placed' && html`<form method="post" action="/orders/${order.id}/cancel"><button>Cancel the order</button></form>`}
</div>`
}
