// The origin behind every peer: one nginx with two ports, standing for the monolith and for the service taken out of it.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nginxPreamble } from './peers/nginx.ts'
import { freePort, PROCESSORS, type Running, type Workshop } from './workshop.ts'

export type Side = 'legacy' | 'service'
export type Origin = { readonly running: Running; readonly ports: Readonly<Record<Side, number>> }

export const PATHS = { json: '/api/products/42', download: '/downloads/one-mebibyte.bin' } as const
export const DOWNLOAD_BYTES = 1024 * 1024

export async function startOrigin(workshop: Workshop): Promise<Origin> {
  const directory = workshop.newDirectory('origin')
  const ports = { legacy: await freePort(), service: await freePort() }
  writeFileSync(join(directory, 'one-mebibyte.bin'), Buffer.alloc(DOWNLOAD_BYTES, 'strangler'))
  writeFileSync(join(directory, 'origin.conf'), configuration(directory, ports))
  const launch = { command: 'nginx', args: ['-e', 'stderr', '-p', directory, '-c', 'origin.conf'] }
  return { running: workshop.start('origin', PROCESSORS.load, directory, launch), ports }
}

function configuration(directory: string, ports: Origin['ports']): string {
  return `
${nginxPreamble(directory)}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  ${server('legacy', ports.legacy, directory)}
  ${server('service', ports.service, directory)}
}
`
}

function server(side: Side, port: number, directory: string): string {
  return `
  server {
    listen 127.0.0.1:${port} backlog=1024;
    add_header x-side ${side};
    location /api/ {
      default_type application/json;
      return 200 '${productJson(side)}';
    }
    location /downloads/ { alias ${directory}/; }
  }`
}

function productJson(side: Side): string {
  return JSON.stringify({
    id: 42,
    sku: 'KTL-0042-BLK',
    name: 'Enamel kettle, 1.2 litres',
    price: { amount: '39.90', currency: 'EUR' },
    stock: { warehouse: 17, shop: 3, reserved: 1 },
    tags: ['kitchen', 'enamel', 'gift'],
    updatedAt: '2026-01-15T09:30:00.000Z',
    side,
  })
}
