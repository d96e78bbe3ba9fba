import request from 'supertest'
import { expect, test } from 'vitest'
import { createTestAdmin } from '../admin.test-kit.ts'
import { createAdminApp } from '../http/admin-app.ts'

test.each([
  ['the client that a trusted proxy names', ['loopback'], '198.51.100.1, 203.0.113.7', '203.0.113.7'],
  ['the peer, where it is not trusted', [], '203.0.113.7', '127.0.0.1'],
  ['the proxy, where it names no address', ['loopback'], 'ann\t', '127.0.0.1'],
])('the audit log records a refusal with the address of %s', async (_, trustedProxies, forwardedFor, address) => {
  const { options, control } = await createTestAdmin()
  const { app } = await createAdminApp({ ...options, trustedProxies })
  await request(app).get('/metrics').set('Host', 'evil.example').set('X-Forwarded-For', forwardedFor).expect(421)
  expect(control.refusedCallers.at(-1)?.address).toBe(address)
})
