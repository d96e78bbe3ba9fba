// Renders a page as HTML. Elements with an id or a name are fields of their own.
import type { Item, Page } from './shop.ts'

export function renderHtml(page: Page): string {
  if (page.status >= 400) return `<!doctype html><title>Shop</title><h1>No such category</h1><p>${page.requestId}</p>`
  return `<!doctype html>
<html lang="en">
<head><title>Shop, page ${page.page}</title></head>
<body data-request="${page.requestId}">
<aside id="banner"><p>${page.banner}</p></aside>
<aside id="deal">${page.deal}</aside>
${page.promotion === undefined ? '' : `<div id="promotion">${page.promotion}</div>`}
<main>
<h1>${page.total} things, page ${page.page}</h1>
<ul>${page.items.map(renderItem).join('\n')}</ul>
</main>
<nav id="recommended">${page.recommended.map((name) => `<a href="/search?q=${name}">${name}</a>`).join('')}</nav>
<footer data-took="${page.tookMs}"><time>${page.generatedAt}</time></footer>
</body>
</html>`
}

function renderItem({ id, name, price, rating, tags, stock }: Item): string {
  const warehouse = stock.warehouse === undefined ? '' : `<abbr>${stock.warehouse}</abbr>`
  return `<li data-item="${id}"><h2>${name}</h2><data name="price" value="${price}">${price}</data>
${rating === undefined ? '' : `<meter max="5" value="${rating}"></meter>`}
<p>${tags.map((tag) => `<em>${tag}</em>`).join('')}</p>
<data name="stock" value="${stock.quantity}">${warehouse}</data></li>`
}
