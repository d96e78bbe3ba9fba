// Asked before anything is started, so that a taken port is one sentence and not four logs and a stack trace.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Address } from './programs.ts'

/** The sentence that says which ports cannot be had, who wants them, and what to do; nothing if all can. */
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
    return `port ${port}, which the ${wantedFor} needs, ${why}: free it, or set ${variable} to another one`
  }
  probe.close()
  await once(probe, 'close')
  return undefined
}

function inWords(code: string | undefined): string {
  if (code === 'EADDRINUSE') return 'is taken'
  if (code === 'EACCES') return 'is not for this user to open'
  return `cannot be opened (${code})`
}
