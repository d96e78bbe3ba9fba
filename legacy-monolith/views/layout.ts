// The layout of every page. It does not depend on the user, so that a product page is the same for every client: app.js adds name and
// cart from /api/session.
import type { AssetName } from '../assets.ts'
import { type Html, html } from './html.ts'

export interface Page {
  readonly title: string
  readonly body: Html
  readonly canonical?: string
  readonly generatedAt: string
}

export function layout(assets: Readonly<Record<AssetName, string>>, page: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title} · Fig &amp; Sons</title>
${page.canonical !== undefined && html`<link rel="canonical" href="${page.canonical}">`}
<link rel="icon" href="${assets['logo.svg']}">
<link rel="stylesheet" href="${assets['app.css']}">
<script src="${assets['app.js']}" defer></script>
</head>
<body>
<header>
<a class="logo" href="/"><img src="${assets['logo.svg']}" alt="" width="32" height="32">Fig &amp; Sons</a>
<form action="/search" role="search"><input name="q" type="search" aria-label="Search" placeholder="Search"></form>
<nav><a href="/products">Products</a> <a href="/orders">Orders</a> <a href="/cart">Cart <span data-cart></span></a> <a href="/account" data-account>Account</a></nav>
</header>
<main>
<h1>${page.title}</h1>
${page.body}
</main>
<footer><p>Fig &amp; Sons, everything for house and garden since 1998</p>
<p class="generated">Page generated at <time>${page.generatedAt}</time></p>
</footer>
</body>
</html>
`.text
}
