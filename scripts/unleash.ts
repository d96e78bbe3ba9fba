// `npm run unleash`: runs a real Unleash with its UI and the flags of flags.json, until Ctrl-C. It has an embedded database, which is
// deleted at the end.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startUnleashServer } from '../test/kit/unleash-server.ts'
import type { Address } from './start/programs.ts'
import { takenPorts } from './start/taken-ports.ts'

const PARENT_MS = 500
/** Not secret: this Unleash listens on the loopback address and is deleted at the end. */
const CREDENTIALS = {
  clientToken: '*:development.demonstration-only-client',
  adminToken: '*:*.demonstration-only-admin',
  password: 'unleash4all',
}

const address: Address = {
  host: '127.0.0.1',
  port: readPort(process.env.UNLEASH_PORT),
  wantedFor: 'Unleash server',
  variable: 'UNLEASH_PORT',
}
const taken = await takenPorts([address])
if (taken !== undefined) giveUp(taken)

const signalled = new Promise<'stop'>((resolve) => {
  const stop = () => resolve('stop')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  // npm ends after a SIGTERM without forwarding it, so the end of the parent process counts as a signal.
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stop(), PARENT_MS).unref()
})
console.log('Starting Unleash, which takes a few seconds')
const starting = startUnleashServer({ ...CREDENTIALS, port: address.port }).catch((error) => giveUp(messageOf(error)))
const unleash = await Promise.race([starting, signalled])
if (unleash === 'stop') process.exit(0)

const settings = { UNLEASH_URL: `${unleash.url}/api`, UNLEASH_API_TOKEN: unleash.clientToken }
const adminSettings = { ...settings, UNLEASH_ADMIN_TOKEN: unleash.adminToken }
try {
  await createFlags()
  sayWhere(unleash.url)
  await Promise.race([signalled, unleash.broken])
} catch (error) {
  await unleash.stop()
  giveUp(messageOf(error))
}
console.log('\nStopping Unleash and deleting its flags')
await unleash.stop()
process.exit(0)

async function createFlags(): Promise<void> {
  const script = fileURLToPath(new URL('./create-flags.ts', import.meta.url))
  await promisify(execFile)(process.execPath, [script], { env: { ...process.env, ...adminSettings } })
}

function sayWhere(url: string): void {
  console.log(`
Unleash is at ${url} with the flags of flags.json, in the environment "development".
Log in as "admin" with the password "${CREDENTIALS.password}". Ctrl-C stops it.

For a gateway in another terminal:
`)
  for (const [name, value] of Object.entries(adminSettings)) console.log(`export ${name}='${value}'`)
}

function readPort(written = '4242'): number {
  const port = /^\d{1,5}$/.test(written) ? Number(written) : 0
  if (port < 1 || port > 65_535) giveUp(`UNLEASH_PORT is "${written}"; it must be a port from 1 to 65535`)
  return port
}

function giveUp(why: string): never {
  console.error(why)
  process.exit(1)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
