// Adds to the pages the signed-in user, the number of items in the cart, and changes of orders.

async function showSession() {
  const answer = await fetch('/api/session')
  if (!answer.ok) return
  const { user, cartItems } = await answer.json()
  const account = document.querySelector('[data-account]')
  const cart = document.querySelector('[data-cart]')
  if (account && user) account.textContent = user.name
  if (cart && cartItems > 0) cart.textContent = `(${cartItems})`
}

function showOrderEvents(list) {
  const events = new EventSource('/events/orders')
  events.addEventListener('order', (event) => {
    const { status, at: changedAt } = JSON.parse(event.data)
    const line = document.createElement('li')
    line.textContent = `${new Date(changedAt).toLocaleTimeString()}: an order was ${status}`
    list.prepend(line)
    while (list.children.length > 5) list.lastElementChild.remove()
  })
}

function followOrders(waitMs = 1000) {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live/orders`)
  socket.addEventListener('message', (message) => {
    const news = JSON.parse(message.data)
    if (news.type !== 'order') return
    const status = document.querySelector(`[data-order="${Number(news.orderId)}"] [data-status]`)
    if (status) status.textContent = news.status
  })
  socket.addEventListener('open', () => {
    waitMs = 1000
  })
  socket.addEventListener('close', () => setTimeout(followOrders, waitMs, Math.min(waitMs * 2, 30_000)))
}

showSession()
const orderEvents = document.querySelector('[data-order-events]')
if (orderEvents) showOrderEvents(orderEvents)
if (document.querySelector('[data-live-orders]')) followOrders()
