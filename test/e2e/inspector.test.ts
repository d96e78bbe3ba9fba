// An inspector can run any code in the gateway, so no signal may open one.
import { readdir, readFile, readlink } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { startNamedOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { shop } from '../kit/shop.ts'

describe('SIGUSR1', () => {
  it.each([
    ['without an option of Node', []],
    ['with --disable-sigusr1', ['--disable-sigusr1']],
  ])('opens no inspector and does not end a gateway %s', async (_, node) => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const gateway = await startGatewayProcess(shop({ legacy: legacy.url, service: service.url }), { node })
    const portsBefore = await listeningPorts(gateway.pid)
    gateway.signal('SIGUSR1')
    // Pending signals are handled in the order of their numbers, so the effect of the later one shows that the earlier one was handled.
    gateway.signal('SIGUSR2')
    await expect.poll(() => gateway.log(), { timeout: 10_000 }).toMatch(/kill/)
    expect(await gateway.readyz()).toBe(200)
    expect(gateway.log()).not.toMatch(/Debugger listening/)
    expect(await listeningPorts(gateway.pid)).toEqual(portsBefore)
  })

  it('has the option of Node in the image and under npm start', async () => {
    expect(await readFile('Dockerfile', 'utf8')).toContain('CMD ["node", "--disable-sigusr1", "bin/strangler.js"')
    expect(await readFile('scripts/start/programs.ts', 'utf8')).toContain("'--disable-sigusr1',")
  })
})

/** The local TCP ports on which the process listens. */
async function listeningPorts(pid: number): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`)
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')))
  const rows = tables.flatMap((table) => table.trim().split('\n').slice(1))
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === '0A' && inodes.has(row[9] ?? ''))
    .map((row) => row[1] as string)
    .sort()
}
