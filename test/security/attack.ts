// A gateway in front of an origin that records every byte, and what attack tests ask of the two.
import { expect } from 'vitest'
import type { RoutesConfig } from '../../src/config/define-routes.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../kit/gateway.ts'
import { type RawOrigin, type Script, startRawOrigin } from '../kit/origin.ts'
import { exchange, type RawResponse } from '../kit/raw.ts'

export type Target = {
  readonly gateway: TestGateway
  readonly origin: RawOrigin
  /** Sends bytes on a connection of their own; `heads` are the request heads that they made the origin see. */
  readonly attack: (bytes: string | Buffer) => Promise<Attacked>
}

export type Attacked = { readonly response: RawResponse; readonly heads: readonly string[] }

export type TargetOptions = {
  readonly script?: Script | string
  readonly config?: Partial<RoutesConfig>
  readonly options?: TestGatewayOptions
}

/** One monolith and nothing else, unless the config says more. */
export async function startTarget({ script, config = {}, options = {} }: TargetOptions = {}): Promise<Target> {
  const origin = await startRawOrigin(script)
  const gateway = await startGateway({ legacy: { url: origin.url }, ...config }, options)
  return { gateway, origin, attack: (bytes) => attack(gateway, origin, bytes) }
}

async function attack(gateway: TestGateway, origin: RawOrigin, bytes: string | Buffer): Promise<Attacked> {
  const headsBefore = origin.heads().length
  const response = await exchange(gateway.port, bytes)
  await knock(gateway)
  return { response, heads: origin.heads().slice(headsBefore).filter(isNoKnock) }
}

const KNOCK = '/knock-after-the-attack'

/** A good request after the bad one: it finds the gateway alive, and whatever was forwarded has arrived headsBefore it. */
export async function knock(gateway: TestGateway): Promise<void> {
  const { status } = await exchange(gateway.port, `GET ${KNOCK} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  expect(status, 'the gateway is alive after the attack').toBe(200)
}

function isNoKnock(head: string): boolean {
  return !head.includes(KNOCK)
}

/** What the list of cases calls 400c: refused, the connection closed, nothing at the origin. */
export async function expectRefused(target: Target, bytes: string | Buffer, statuses: number | number[] = 400) {
  const { response, heads } = await target.attack(bytes)
  expect([statuses].flat(), JSON.stringify(response.head)).toContain(response.status)
  expect(response.isClosed, 'the connection is closed').toBe(true)
  expect(response.head.toLowerCase()).toContain('\r\nconnection: close\r\n')
  expect(heads).toEqual([])
  return response
}

/** A request with these lines after the request line, `Host: a` first. */
export function request(line: string, fields: readonly string[] = [], body = ''): string {
  return `${line} HTTP/1.1\r\nHost: a\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n${body}`
}

/** The request line and the field lines of a head. */
export function linesOf(head: string): string[] {
  return head.split('\r\n').filter((line) => line !== '')
}

/** The values of a field, in order, each line on its own. */
export function valuesOf(head: string, name: string): string[] {
  const lower = name.toLowerCase()
  return linesOf(head)
    .slice(1)
    .flatMap((line) => {
      const colon = line.indexOf(':')
      return line.slice(0, colon).toLowerCase() === lower ? [line.slice(colon + 1).trim()] : []
    })
}

export function targetOf(head: string): string {
  return head.split(' ')[1] ?? ''
}
