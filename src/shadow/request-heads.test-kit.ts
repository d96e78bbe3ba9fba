// Handmade requests and policies.
import type { RequestHead } from '../model/request-head.ts'
import type { CopyRequest } from '../model/shadow.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'

export function headOf(more: Partial<RequestHead> = {}): RequestHead {
  const nothing = {
    cookie: undefined,
    connection: undefined,
    upgrade: undefined,
    expect: undefined,
    trailer: undefined,
  }
  const nobody = { forwardedFor: undefined, forwardedHost: undefined, forwardedProto: undefined, forwarded: undefined }
  const none = {
    via: undefined,
    cdnLoop: undefined,
    requestId: undefined,
    traceparent: undefined,
    maxForwards: undefined,
    user: undefined,
  }
  return {
    ...{ method: 'GET', path: '/products/1', query: '', hasEncodedSlash: false, host: 'shop.example' },
    ...{ headers: [], endToEnd: [], minorVersion: 1, peerAddress: '192.0.2.1', secure: false, body: { kind: 'none' } },
    fields: { ...nothing, ...nobody, ...none, saysShadow: false },
    ...more,
  }
}

export function policyOf(more: Partial<ShadowPolicy> = {}): ShadowPolicy {
  return {
    ...{ sample: 1, compare: {}, maxBodyBytes: 1000, timeoutMs: 5000, noise: { pairShare: 0, pairShareOpen: 0 } },
    ...{ writes: 'never', identities: 'keep', showOnly: undefined },
    ...more,
  }
}

export function copyOf(more: Partial<CopyRequest> = {}): CopyRequest {
  return {
    ...{ origin: 'http://127.0.0.1:1', tls: undefined, servername: '', method: 'GET', path: '/products/1' },
    ...{ fields: ['Host', 'shop.example'], identityFields: [] },
    ...more,
  }
}
