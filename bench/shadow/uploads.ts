// Large uploads through the gateway while the shadow service is not reachable: they must not stay in memory.
import { request as ask, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { startPeer } from '../measure.ts'
import type { Origin } from '../origin.ts'
import { prepareStrangler, strangler } from '../peers/strangler.ts'
import { usageOf } from '../usage.ts'
import { freePort, type Workshop } from '../workshop.ts'

export const UPLOADS = { count: 20, megabytes: 500, atOnce: 4 } as const
const LOOK_MS = 100

export type UploadResult = { readonly grewMiB: number; readonly failed: number; readonly seconds: number }

/** The service is not reachable and has not confirmed dry runs: each copy is captured and then dropped. */
export async function measureUploads(workshop: Workshop, origin: Origin): Promise<UploadResult> {
  const legacy = await startStore()
  const gateway = await startPeer(workshop, origin, {
    ...strangler,
    name: 'shadow uploads',
    prepare: (site) => {
      const legacyUrl = `http://127.0.0.1:${legacy.port}`
      const dead = `http://127.0.0.1:${legacy.deadPort}`
      return prepareStrangler(site, [], {
        legacy: { url: legacyUrl },
        services: { files: { url: dead } },
        contexts: {
          files: {
            owner: 'team-files',
            service: 'files',
            flag: 'nobody-has-it',
            routes: ['/files/*'],
            shadow: { sample: 1, writes: 'dry-run' },
          },
        },
      })
    },
  })
  try {
    const { pid } = gateway.running!
    await upload(gateway.baseUrl, 1)
    await untilItEnded(gateway.metricsUrl as string)
    const rssBefore = usageOf(pid).rssMiB
    let most = rssBefore
    const watch = setInterval(() => {
      most = Math.max(most, usageOf(pid).rssMiB)
    }, LOOK_MS)
    const startedAt = performance.now()
    let failed = 0
    for (let n = 0; n < UPLOADS.count; n += UPLOADS.atOnce) {
      const statuses = await Promise.all(
        Array.from({ length: UPLOADS.atOnce }, () => upload(gateway.baseUrl, UPLOADS.megabytes)),
      )
      failed += statuses.filter((status) => status !== 200).length
    }
    clearInterval(watch)
    return { grewMiB: most - rssBefore, failed, seconds: (performance.now() - startedAt) / 1000 }
  } finally {
    await gateway.stop()
    legacy.close()
  }
}

/** Waits for the end of the first copy: the comparing thread starts, and its dry-run handshake with the service fails. */
async function untilItEnded(metricsUrl: string): Promise<void> {
  for (;;) {
    const text = await (await fetch(metricsUrl)).text()
    if (/^strangler_shadow_outcomes_total\{.*\} 1$/m.test(text)) return
    await pause(LOOK_MS)
  }
}

/** Accepts every upload, and the first request of the benchmark. */
async function startStore() {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end('stored'))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return { port, deadPort: await freePort(), close: () => server.closeAllConnections() ?? server.close() }
}

/** @returns the status; 0 without a response */
function upload(baseUrl: string, megabytes: number): Promise<number> {
  const chunk = Buffer.alloc(1024 * 1024, 'x')
  return new Promise((resolve) => {
    const headers = { 'Content-Length': megabytes * chunk.length }
    const request = ask(`${baseUrl}/files/1`, { method: 'PUT', headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', () => resolve(0))
    let left = megabytes
    const write = () => {
      while (left > 0) {
        left--
        if (!request.write(chunk)) return void request.once('drain', write)
      }
      request.end()
    }
    write()
  })
}
