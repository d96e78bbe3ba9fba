// Checks the ports before any program starts, so that a port in use is reported in one sentence.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Address } from './programs.ts'

/** Returns a sentence about the ports that are not available; undefined if all are available. */
export async function takenPorts(addresses: readonly Address[]): Promise<string | undefined> {
  const troubles = await Promise.all(addresses.map(trouble))
  const sentences = troubles.filter((sentence) => sentence !== undefined)
  return sentences.length === 0 ? undefined : `${sentences.join('; ')}.`
}

async function trouble(address: Address): Promise<string | undefined> {
  const { host, port, wantedFor, variable } = address
  const probe = createServer().listen({ host, port, exclusive: true })
  try {
    await once(probe, 'listening')
  } catch (error) {
    const why = inWords((error as NodeJS.ErrnoException).code) // a server's error has a code
    return `port ${port} of the ${wantedFor} ${why}: stop the other program, or set ${variable} to another port`
  }
  probe.close()
  await once(probe, 'close')
  return undefined
}

function inWords(code: string | undefined): string {
  if (code === 'EADDRINUSE') return 'is in use'
  if (code === 'EACCES') return 'needs privileges'
  return `cannot be opened (${code})`
}
