// Tokens inside Express: the application is legacy, and no request may reach it without the check of its token.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express, { type Express } from 'express'
import supertest from 'supertest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type EmbeddedRoutes, strangler } from '../../src/express.ts'
import { flagFile } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { AUDIENCE, goodClaims, ISSUER, pemOf, rsaPair, signed } from '../kit/tokens.ts'
import { valuesOf } from './attack.ts'

const RSA = rsaPair()
const token = signed('RS256', RSA.privateKey, { payload: goodClaims({ tenant: 'a' }) })
const BEARER = `Bearer ${token}`

async function startApplication(percent: number, unleash?: string) {
  const service = await startRawOrigin()
  const routes: EmbeddedRoutes = {
    services: { orders: { url: service.url } },
    contexts: {
      orders: {
        owner: 'team',
        service: 'orders',
        flag: 'orders',
        auth: {
          jwt: { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], publicKey: pemOf(RSA) },
          claims: { tenant: 'X-Tenant' },
        },
        routes: ['/orders'],
      },
    },
    identity: { anonymous: 'ip' },
  }
  const folder = await mkdtemp(join(tmpdir(), 'strangler-embedded-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'flags.json'), flagFile({ orders: percent }))
  const gate = strangler(routes, {
    flags: join(folder, 'flags.json'),
    stateDir: folder,
    logLevel: 'silent',
    ...(unleash !== undefined && { unleash: { url: unleash, token: 'any', appName: 'shop' } }),
  })
  onTestFinished(() => gate.close())
  if (unleash === undefined) await gate.ready
  const app: Express = express()
  app.use(gate)
  app.use((request, response) => void response.json({ headers: request.headers }))
  return { app, service }
}

describe('strangler() with a context that requires a token', () => {
  it('refuses a request without a valid token before it reaches the application', async () => {
    const { app, service } = await startApplication(0)
    const none = await supertest(app).get('/orders').set('X-User-Id', 'admin')
    expect([none.status, none.headers['www-authenticate']]).toEqual([401, 'Bearer realm="gateway"'])
    const forged = await supertest(app).get('/orders').set('Authorization', `${BEARER}x`)
    expect([forged.status, forged.headers['www-authenticate']]).toEqual([401, 'Bearer error="invalid_token"'])
    expect(service.requests()).toBe(0)
  })

  it('sends the verified identity to the application, and drops what the client states', async () => {
    const { app } = await startApplication(0)
    const spoofed = { 'X-User-Id': 'admin', x_user_id: 'admin', 'X-Tenant': 'admin', X_TENANT: 'admin' }
    const answer = await supertest(app).get('/orders').set(spoofed).set('Authorization', BEARER)
    expect(answer.body.headers).toMatchObject({ 'x-user-id': 'user-7', 'x-tenant': 'a', authorization: BEARER })
    expect(JSON.stringify(answer.body)).not.toContain('admin')
    const elsewhere = await supertest(app).get('/elsewhere').set(spoofed)
    expect(elsewhere.status).toBe(200)
    expect(JSON.stringify(elsewhere.body)).not.toContain('admin')
  })

  it('sends the verified identity to the service', async () => {
    const { app, service } = await startApplication(100)
    const answer = await supertest(app).get('/orders').set('X-Tenant', 'admin').set('Authorization', BEARER)
    expect(answer.status).toBe(200)
    const [head = ''] = service.heads()
    expect([valuesOf(head, 'x-user-id'), valuesOf(head, 'x-tenant')]).toEqual([['user-7'], ['a']])
  })

  it('cannot be bypassed by an ambiguous path, by a Via with its own name, or while the map is not ready', async () => {
    const { app, service } = await startApplication(100)
    expect((await supertest(app).get('/orders/..%2Forders')).status).toBe(400)
    await supertest(app).get('/orders').set('Authorization', BEARER)
    const via = valuesOf(service.heads()[0] ?? '', 'via').join()
    expect((await supertest(app).get('/orders').set('Via', via)).status).toBe(401)
    const back = await supertest(app).get('/orders').set('Via', via).set('Authorization', BEARER)
    expect(back.body.headers).toMatchObject({ 'x-user-id': 'user-7' })

    const silent = await startRawOrigin(() => {})
    const early = await startApplication(0, silent.url)
    expect((await supertest(early.app).get('/orders')).status).toBe(503)
  })

  it('refuses only routes that require a token while the public key cannot be read, and drops identity headers', async () => {
    const jwt = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], publicKey: './no-such-key.pem' } as const
    const context = { owner: 'a', service: 'orders', flag: 'orders', auth: { jwt, claims: { tenant: 'X-Tenant' } } }
    const gate = strangler(
      {
        services: { orders: { url: 'http://127.0.0.1:1' } },
        contexts: { orders: { ...context, routes: ['/orders'] } },
      },
      { logLevel: 'silent' },
    )
    onTestFinished(() => gate.close())
    await expect(gate.ready).rejects.toMatchObject({ mistakes: [{ path: 'contexts.orders.auth.jwt.publicKey' }] })
    const app = express().use(gate)
    app.use((request, response) => void response.json({ headers: request.headers }))
    expect((await supertest(app).get('/orders').set('Authorization', BEARER)).status).toBe(503)
    const elsewhere = await supertest(app).get('/elsewhere').set({ 'X-User-Id': 'admin', X_TENANT: 'admin' })
    expect(elsewhere.status).toBe(200)
    expect(JSON.stringify(elsewhere.body)).not.toContain('admin')
  })
})
