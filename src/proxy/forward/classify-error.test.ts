import { describe, expect, it } from 'vitest'
import { ResponseError } from '../upstream/response-parser.ts'
import { classifyError, UpstreamTimeout } from './classify-error.ts'
import { RequestBodyError } from './request-body.ts'

const withCode = (code: string) => Object.assign(new Error('an error of Node'), { code })

describe('an error before the connection was open', () => {
  it.each([
    [withCode('ECONNREFUSED'), 'connect-refused'],
    [withCode('ECONNRESET'), 'connect-refused'],
    [withCode('ENOTFOUND'), 'connect-refused'],
    [withCode('EHOSTUNREACH'), 'connect-refused'],
    [withCode('CERT_HAS_EXPIRED'), 'connect-refused'],
    [withCode('ETIMEDOUT'), 'connect-timeout'],
    [new UpstreamTimeout('connect-timeout'), 'connect-timeout'],
    [withCode('EMFILE'), 'overloaded'],
    [withCode('ENFILE'), 'overloaded'],
    [new Error('whatever'), 'connect-refused'],
    [null, 'connect-refused'],
    [undefined, 'connect-refused'],
  ] as const)('%s is %s', (error, failure) => {
    expect(classifyError(error, false)).toBe(failure)
  })
})

describe('an error on a connection', () => {
  it.each([
    [withCode('ECONNRESET'), 'connection-lost'],
    [withCode('EPIPE'), 'connection-lost'],
    [withCode('EMFILE'), 'connection-lost'],
    [new UpstreamTimeout('response-timeout'), 'response-timeout'],
    [new UpstreamTimeout('response-broken'), 'response-broken'],
    [withCode('HPE_INVALID_CONSTANT'), 'response-malformed'],
    [new ResponseError('a switch of protocols without a request'), 'response-malformed'],
    [withCode('ERR_INVALID_CHAR'), 'response-malformed'],
    [withCode('ERR_INVALID_HTTP_TOKEN'), 'response-malformed'],
    ['a string', 'connection-lost'],
  ] as const)('%s is %s', (error, failure) => {
    expect(classifyError(error, true)).toBe(failure)
  })
})

it('an error of the request body keeps its own failure, whether the request was sent or not', () => {
  for (const wasSent of [true, false]) {
    expect(classifyError(new RequestBodyError('body-too-large'), wasSent)).toBe('body-too-large')
    expect(classifyError(new RequestBodyError('client-gone'), wasSent)).toBe('client-gone')
  }
})
