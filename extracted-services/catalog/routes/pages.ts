// The catalog's pages: product list, product, search.
import { Router } from 'express'
import { absoluteUrl } from '../base-url.ts'
import { catalogRevision, findProduct, listCategories, listProducts, readListing } from '../catalog.ts'
import type { Catalog } from '../open-catalog.ts'
import { pageTag, sendPage } from '../pages.ts'
import { notFound } from '../problem.ts'
import { productList, productPage, searchResults } from '../views/catalog.ts'

export function catalogPages(catalog: Catalog): Router {
  const router = Router()

  router.get('/products', (request, response) => {
    const listing = readListing(request.query)
    response.set('ETag', pageTag(catalog.assets, `products-${catalogRevision(catalog.db)}`))
    const body = productList(listing, listProducts(catalog.db, listing), listCategories(catalog.db))
    sendPage(catalog.assets, response, { title: 'Products', body, canonical: absoluteUrl(request, '/products') })
  })

  router.get('/products/:id', (request, response) => {
    const product = findProduct(catalog.db, request.params.id)
    if (!product) throw notFound('product')
    response.set('ETag', pageTag(catalog.assets, `product-${product.id}-${product.version}`))
    response.set('Last-Modified', new Date(product.updatedAt).toUTCString())
    const canonical = absoluteUrl(request, `/products/${product.id}`)
    sendPage(catalog.assets, response, { title: product.name, body: productPage(product), canonical })
  })

  // The gateway rewrites /search to this path; the links on the page contain /search.
  router.get('/v2/search', (request, response) => {
    const listing = readListing(request.query)
    response.set('ETag', pageTag(catalog.assets, `search-${catalogRevision(catalog.db)}`))
    const body = searchResults(listing, listProducts(catalog.db, listing))
    sendPage(catalog.assets, response, { title: 'Search', body })
  })

  return router
}
