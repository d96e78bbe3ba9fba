// `strangler watch` with a real gateway: changes by a kill file or by time are printed like changes of operators.
import { spawn } from 'node:child_process'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { STRANGLER } from '../kit/process.ts'
import { shop } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const TOKEN = 'a-token-of-the-watch-tests'

it('watch prints a kill file that appears, is refused and is removed, and a pin that expires', async () => {
  const legacy = await startNamedOrigin('legacy')
  const config = shop({ legacy: legacy.url, service: legacy.url })
  const gateway = await startGateway(config, { percentages: { 'migrate-catalog': 10 }, adminToken: TOKEN })
  const lines = startWatch(gateway)
  await until(() => lines().length === 1)

  const killFile = join(gateway.folder, 'state', 'kill')
  await writeFile(`${killFile}.next`, 'catalog\n')
  await rename(`${killFile}.next`, killFile)
  await until(() => lines().some((line) => line.endsWith('kill file of this gateway: sends catalog to legacy')))
  await writeFile(killFile, '')
  await until(() => lines().some((line) => line.includes('kill file of this gateway: ') && line.includes('is empty')))
  await rm(killFile)
  await until(() =>
    lines().some((line) => line.endsWith('kill file of this gateway: has ended: pins and flags decide')),
  )

  const pinned = await fetch(`http://127.0.0.1:${gateway.adminPort}/api/v1/contexts/catalog/pin`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ side: 'legacy', forMs: 1000, reason: 'a short one' }),
  })
  expect(pinned.status).toBe(200)
  await until(() => lines().some((line) => line.endsWith('catalog: no longer pinned to legacy, by its end')))
  expect(lines().filter((line) => line.includes('pinned to legacy until'))).toHaveLength(1)
})

/** Starts `strangler watch`. @returns the lines that it has printed so far */
function startWatch({ adminPort }: TestGateway): () => readonly string[] {
  const args = [STRANGLER, 'watch', '--url', `http://127.0.0.1:${adminPort}`, '--token', TOKEN]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  return () => printed.split('\n').slice(0, -1)
}
