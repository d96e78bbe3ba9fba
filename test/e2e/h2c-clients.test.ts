// Real clients that request HTTP/2 by an upgrade on a connection without TLS.
import { execFile } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import express from 'express'
import { expect } from 'vitest'
import { strangler } from '../../src/express.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { whenOver } from '../kit/lifetime.ts'
import { startHttpOrigin } from '../kit/origin.ts'
import { testWith } from '../kit/programs.ts'

const run = promisify(execFile)
const JAVA_CLIENT = fileURLToPath(new URL('../kit/JavaClient.java', import.meta.url))

/** An origin that answers with the method and the body, and fails if it receives any part of an upgrade. */
async function startEcho() {
  return startHttpOrigin((request, response) => {
    const { upgrade, connection = '', 'http2-settings': settings } = request.headers
    if (upgrade !== undefined || settings !== undefined || /upgrade/i.test(connection)) response.statusCode = 500
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => response.end(`${request.method} ${body}`))
  })
}

async function startFront(): Promise<string> {
  const origin = await startEcho()
  const gateway = await startGateway({ legacy: { url: origin.url } })
  return `http://127.0.0.1:${gateway.port}/x`
}

/** The same service behind an Express application. */
async function startApplication(): Promise<string> {
  const origin = await startEcho()
  const folder = await mkdtemp(join(tmpdir(), 'strangler-h2c-'))
  const flags = join(folder, 'flags.json')
  await writeFile(flags, flagFile({ echo: 100 }))
  const middleware = strangler(
    {
      services: { echo: { url: origin.url } },
      contexts: { echo: { owner: 'team', service: 'echo', flag: 'echo', routes: ['/x'] } },
      identity: { anonymous: 'ip' },
    },
    { flags, stateDir: folder, logLevel: 'silent' },
  )
  await middleware.ready
  whenOver(() => middleware.close())
  const application = await startHttpOrigin(express().use(middleware))
  return `${application.url}/x`
}

const FRONTS = [
  ['the gateway', startFront],
  ['the Express middleware', startApplication],
] as const

for (const [front, start] of FRONTS) {
  testWith('javac')(
    `the default HttpClient of Java gets every answer from ${front} over HTTP/1.1`,
    async () => {
      const { stdout } = await run('java', ['-Xshare:auto', JAVA_CLIENT, await start()])
      const expected = ['GET ', 'GET ', 'POST hello', 'POST hello'].map((body) => `200 HTTP_1_1 ${body}`)
      expect(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.trimEnd()),
      ).toEqual(expected.map((line) => line.trimEnd()))
    },
    60_000,
  )

  testWith('curl')(`curl --http2 gets every answer from ${front} over HTTP/1.1`, async () => {
    const url = await start()
    const curl = (...options: string[]) =>
      run('curl', ['-sS', '--http2', '-w', ' %{http_code} %{http_version}', ...options, url])
    expect((await curl()).stdout).toBe('GET  200 1.1')
    expect((await curl('-d', 'hello')).stdout).toBe('POST hello 200 1.1')
    expect((await curl('-T', JAVA_CLIENT, '-H', 'Expect: 100-continue')).stdout).toMatch(/^PUT .* 200 1\.1$/s)
  })
}
