// The catalog's pages: product list, product, search.
import { Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { catalogRevision, findProduct, listCategories, listProducts, readListing } from '../catalog.ts'
import { pageTag, sendPage } from '../pages.ts'
import { notFound } from '../problem.ts'
import type { Shop } from '../shop.ts'
import { productList, productPage, searchResults } from '../views/catalog.ts'

export function catalogPages(shop: Shop): Router {
  const router = Router()

  router.get('/products', (request, response) => {
    const listing = readListing(request.query)
    response.set('ETag', pageTag(shop, `products-${catalogRevision(shop.db)}`))
    const body = productList(listing, listProducts(shop.db, listing), listCategories(shop.db))
    sendPage(shop, response, { title: 'Products', body, canonical: absoluteUrl(request, '/products') })
  })

  router.get('/products/:id', (request, response) => {
    const product = findProduct(shop.db, request.params.id)
    if (!product) throw notFound('product')
    response.set('ETag', pageTag(shop, `product-${product.id}-${product.version}`))
    response.set('Last-Modified', new Date(product.updatedAt).toUTCString())
    const canonical = absoluteUrl(request, `/products/${product.id}`)
    sendPage(shop, response, { title: product.name, body: productPage(product), canonical })
  })

  router.get('/search', (request, response) => {
    const listing = readListing(request.query)
    response.set('ETag', pageTag(shop, `search-${catalogRevision(shop.db)}`))
    const body = searchResults(listing, listProducts(shop.db, listing))
    sendPage(shop, response, { title: 'Search', body })
  })

  return router
}
