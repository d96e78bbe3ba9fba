import { errors } from 'undici'
import { describe, expect, it } from 'vitest'
import { classifyError, ResponseError } from './classify-error.ts'
import { RequestBodyError } from './request-body.ts'

const withCode = (code: string) => Object.assign(new Error('told to nobody'), { code })

describe('an error before there was a connection', () => {
  it.each([
    [withCode('ECONNREFUSED'), 'connect-refused'],
    [withCode('ECONNRESET'), 'connect-refused'],
    [withCode('ENOTFOUND'), 'connect-refused'],
    [withCode('EHOSTUNREACH'), 'connect-refused'],
    [withCode('CERT_HAS_EXPIRED'), 'connect-refused'],
    [withCode('ETIMEDOUT'), 'connect-timeout'],
    [new errors.ConnectTimeoutError(), 'connect-timeout'],
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
    [new errors.SocketError('other side closed'), 'connection-lost'],
    [new errors.HeadersTimeoutError(), 'response-timeout'],
    [new errors.BodyTimeoutError(), 'response-broken'],
    [new errors.HeadersOverflowError(), 'response-malformed'],
    [withCode('HPE_INVALID_CONSTANT'), 'response-malformed'],
    [new errors.HTTPParserError('bad'), 'response-malformed'],
    [new errors.SocketError('bad response'), 'response-malformed'],
    [new ResponseError('a switch nobody asked for'), 'response-malformed'],
    [withCode('ERR_INVALID_CHAR'), 'response-malformed'],
    [new errors.InvalidArgumentError('ours'), 'internal'],
    ['a string', 'connection-lost'],
  ] as const)('%s is %s', (error, failure) => {
    expect(classifyError(error, true)).toBe(failure)
  })
})

it('what ended the request body keeps its own word, sent or not', () => {
  for (const wasSent of [true, false]) {
    expect(classifyError(new RequestBodyError('body-too-large'), wasSent)).toBe('body-too-large')
    expect(classifyError(new RequestBodyError('client-gone'), wasSent)).toBe('client-gone')
  }
})
