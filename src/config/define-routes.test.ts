import cors from 'cors'
import { json } from 'express'
import rateLimit from 'express-rate-limit'
import helmet from 'helmet'
import { expect, test } from 'vitest'
import { defineRoutes } from '../index.ts'
import { validate } from './schema/validate.ts'

test('middleware of the ecosystem fits as it is', () => {
  const config = defineRoutes({
    legacy: { url: 'http://127.0.0.1:3000', tls: undefined },
    services: { catalog: { url: 'http://127.0.0.1:3001' } },
    contexts: {
      catalog: {
        owner: 'team-catalog',
        service: 'catalog',
        flag: 'migrate-catalog',
        routes: [
          { path: '/a', middleware: helmet() },
          {
            path: '/b',
            middleware: [cors(), rateLimit({ validate: false }), json(), (_request, _response, next) => next()],
          },
        ],
      },
    },
  })
  expect(validate(config)).toMatchObject({ ok: true })
})
