// `via: false`: an upstream gets CDN-Loop instead of Via, and request loops are still detected.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import supertest from 'supertest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { strangler } from '../../src/express.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { freePort, OK, startRawOrigin } from '../kit/origin.ts'
import { testWith } from '../kit/programs.ts'
import { exchange } from '../kit/raw.ts'
import { startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

const GET = (fields = '') => `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const field = (head: string | undefined, name: string) =>
  head?.split('\r\n').flatMap((line) => (line.toLowerCase().startsWith(`${name}: `) ? [line.split(': ')[1]] : []))[0]

describe('nginx with its default gzip_proxied as the monolith', () => {
  testWith('nginx')('compresses for the gateway only with `via: false` or `gzip_proxied any`', async () => {
    const plain = await startNginx('')
    const any = await startNginx('gzip_proxied any;')
    const encodingOf = async (url: string, via: boolean | undefined) => {
      const gateway = await startGateway({ legacy: { url, via } })
      const { status, head } = await exchange(gateway.port, GET('Accept-Encoding: gzip\r\n'))
      expect(status).toBe(200)
      return field(head, 'content-encoding')
    }
    expect(await encodingOf(plain, undefined)).toBeUndefined()
    expect(await encodingOf(plain, false)).toBe('gzip')
    expect(await encodingOf(any, undefined)).toBe('gzip')
  })
})

describe('an upstream with `via: false`', () => {
  it('gets CDN-Loop and no Via, in a request, an upgrade and a shadow copy', async () => {
    const origin = await startRawOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url, via: false } })
    await exchange(gateway.port, GET('Via: 1.1 fred\r\nCDN-Loop: fred\r\n'))
    const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`
    await exchange(gateway.port, GET(upgrade))
    const heads = origin.heads()
    expect(heads).toHaveLength(2)
    for (const head of heads) expect(field(head, 'via')).toBeUndefined()
    expect(field(heads[0], 'cdn-loop')).toMatch(/^fred, strangler-[0-9a-f]{8}$/)
    expect(field(heads[1], 'cdn-loop')).toMatch(/^strangler-[0-9a-f]{8}$/)

    const shadowed = await startShadowed({ shadow: { sample: 1 }, map: { legacy: { url: origin.url, via: false } } })
    await shadowed.gateway.setFlags({ 'migrate-catalog': 100 })
    const headsBefore = origin.heads().length
    await exchange(shadowed.gateway.port, GET().replace('GET / ', 'GET /products/1 '))
    await until(() => origin.heads().length > headsBefore)
    const copy = origin.heads().at(-1)
    expect(field(copy, 'x-shadow')).toBe('1')
    expect(field(copy, 'via')).toBeUndefined()
    expect(field(copy, 'cdn-loop')).toMatch(/^strangler-/)
  })

  it('cannot send a request back to the gateway: CDN-Loop with its name is answered with 508, and Connection cannot remove the field', async () => {
    const origin = await startRawOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url, via: false } })
    await exchange(gateway.port, GET())
    const name = field(origin.heads()[0], 'cdn-loop')
    for (const fields of [
      `CDN-Loop: ${name}\r\n`,
      `CDN-Loop: other;v="1,2"\r\ncdn-loop: ${name};x=y\r\n`,
      `Connection: CDN-Loop\r\nCDN-Loop: ${name}\r\n`,
    ]) {
      expect((await exchange(gateway.port, GET(fields))).status, fields).toBe(508)
    }
    expect(origin.requests()).toBe(1)
    await exchange(gateway.port, GET('Connection: CDN-Loop\r\nCDN-Loop: other\r\n'))
    expect(field(origin.heads().at(-1), 'cdn-loop')).toBe(`other, ${name}`)
  })

  it('ends a loop of two gateways of which the second removes Via', async () => {
    const port = await freePort()
    const second = await startGateway({ legacy: { url: `http://127.0.0.1:${port}`, via: false } })
    await startGateway({ legacy: { url: `http://127.0.0.1:${second.port}` } }, { port })
    expect((await exchange(port, GET())).status).toBe(508)
  })

  it('gets CDN-Loop and no Via from inside Express', async () => {
    const origin = await startRawOrigin(OK)
    const folder = await mkdtemp(join(tmpdir(), 'strangler-via-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'flags.json'), flagFile({ f: 100 }))
    const gate = strangler(
      {
        services: { a: { url: origin.url, via: false } },
        contexts: { a: { owner: 'a', service: 'a', flag: 'f', routes: ['/a'] } },
      },
      { flags: join(folder, 'flags.json'), stateDir: folder, logLevel: 'silent' },
    )
    await gate.ready
    onTestFinished(() => gate.close())
    await supertest(express().use(gate)).get('/a')
    expect(field(origin.heads()[0], 'via')).toBeUndefined()
    expect(field(origin.heads()[0], 'cdn-loop')).toMatch(/^strangler-/)
  })
})

/** The address of an nginx that compresses a text of 4 kB, with one more setting. */
async function startNginx(setting: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-nginx-'))
  const port = await freePort()
  await writeFile(join(folder, 'index.html'), 'compressible '.repeat(300))
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; error_log stderr; pid ${folder}/pid;
     events { worker_connections 64; }
     http {
       access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
       uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
       types { text/html html; }
       gzip on; gzip_min_length 100; ${setting}
       server { listen 127.0.0.1:${port}; location / { root ${folder}; index index.html; } }
     }`,
  )
  // One process, because a forked worker would outlive a killed master.
  const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'master_process off;'])
  onTestFinished(async () => {
    const ended = once(nginx, 'close')
    nginx.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  await until(() =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  return url
}
