// The catalog as JSON: /api/catalog/…
import { Router } from 'express'
import {
  catalogRevision,
  findProduct,
  type Listing,
  listCategories,
  listProducts,
  type Product,
  readListing,
} from '../catalog.ts'
import { CURRENCY, euros, withTax } from '../money.ts'
import type { Catalog } from '../open-catalog.ts'
import { notFound, Problem } from '../problem.ts'

export function catalogApi(catalog: Catalog): Router {
  const router = Router()

  router.get('/api/catalog/products', (request, response) => {
    response.set('ETag', `W/"products-${catalogRevision(catalog.db)}"`)
    response.json(stamped(productPageJson(catalog, readListing(request.query))))
  })

  router.get('/api/catalog/products/:id', (request, response) => {
    const product = findProduct(catalog.db, request.params.id)
    if (!product) throw notFound('product')
    response.set('ETag', `W/"product-${product.id}-${product.version}"`)
    response.set('Last-Modified', new Date(product.updatedAt).toUTCString())
    response.json(stamped(productJson(product)))
  })

  router.get('/api/catalog/categories', (_request, response) => {
    response.set('ETag', `W/"categories-${catalogRevision(catalog.db)}"`)
    response.json(stamped({ items: listCategories(catalog.db) }))
  })

  router.get('/api/catalog/categories/:slug', (request, response) => {
    const category = listCategories(catalog.db).find((candidate) => candidate.slug === request.params.slug)
    if (!category) throw notFound('category')
    response.set('ETag', `W/"categories-${catalogRevision(catalog.db)}"`)
    const listing = readListing({ ...request.query, category: category.slug })
    response.json(stamped({ ...category, products: productPageJson(catalog, listing) }))
  })

  router.all('/api/catalog/*path', (request, response) => {
    if (request.method === 'GET' || request.method === 'HEAD') throw notFound('resource')
    response.set('Allow', 'GET, HEAD')
    throw new Problem(405, 'method-not-allowed', 'The catalog is read-only.')
  })

  return router
}

function productPageJson(catalog: Catalog, listing: Listing) {
  const { products, total } = listProducts(catalog.db, listing)
  return { items: products.map(productJson), page: listing.page, pageSize: listing.pageSize, total }
}

function productJson(product: Product) {
  return {
    id: product.id,
    sku: product.sku,
    slug: product.slug,
    name: product.name,
    category: { slug: product.category, name: product.categoryName },
    description: product.description,
    currency: CURRENCY,
    price: euros(product.priceCents),
    taxPercent: product.taxPercent,
    priceWithTax: euros(withTax(product.priceCents, product.taxPercent)),
    updatedAt: product.updatedAt,
  }
}

/** Adds the time of the response. ETags do not depend on it: they contain versions. */
function stamped<Answer extends object>(answer: Answer): Answer & { generatedAt: string } {
  return { ...answer, generatedAt: new Date().toISOString() }
}
