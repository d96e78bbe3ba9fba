// Differences from the shadowed request to the commands of an operator, with a real gateway and the command line.

import { writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { DifferencesResponse, ParityResponse } from '../../src/admin/contract/comparisons.ts'
import { sendRequest } from '../kit/load.ts'
import { runStrangler } from '../kit/process.ts'
import { startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority, so it may start late on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

const TOKEN = 'a-token-that-is-long-enough-for-anybody'
const SECRET = 'hunter2-hunter2-hunter2'

test('a wrong price is the only real difference, and a timestamp is noise', async () => {
  let wrong = 12.51
  let moment = 0
  const answers = (price: () => number): RequestListener => {
    return (_request, response) => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify({ price: price(), generatedAt: new Date(++moment * 1000).toISOString() }))
    }
  }
  const { gateway, settled } = await startShadowed({
    adminToken: TOKEN,
    shadow: { sample: 1, noise: { pairShare: 1, pairShareOpen: 1 } },
    legacy: answers(() => 12.5),
    service: answers(() => wrong),
  })
  const env = { STRANGLER_URL: `http://127.0.0.1:${gateway.adminPort}`, STRANGLER_TOKEN: TOKEN }
  const strangler = async (...args: string[]) => {
    const ran = await runStrangler(args, { env })
    expect(ran.stderr).toBe('')
    expect(ran.code).toBe(0)
    return ran.stdout
  }
  const differences = async () => JSON.parse(await strangler('diffs', 'catalog', '--json')) as DifferencesResponse
  const browse = async (times: number, total: number) => {
    for (let i = 0; i < times; i++) {
      const headers = { Cookie: `sid=${SECRET}` }
      expect((await sendRequest({ port: gateway.port, path: `/products/${i}?token=${SECRET}`, headers })).status).toBe(
        200,
      )
    }
    await settled(total)
    await until(async () => (await differences()).comparisons === total, 20_000)
  }
  // While a field is open, every request is sent to legacy twice.
  await browse(5, 5)
  await browse(60, 65)

  const view = await differences()
  expect(view.differences.map(({ kind, path, verdict }) => `${verdict} ${kind} ${path}`)).toEqual([
    'real value $.price',
    'noise value $.generatedAt',
  ])
  const [{ fingerprint, example, route } = expect.unreachable()] = view.differences
  expect({ example, route }).toMatchObject({
    example: { legacy: '12.5', service: '12.51' },
    route: 'GET /products/:id',
  })
  const table = await strangler('diffs', 'catalog')
  expect(table).toMatch(
    new RegExp(`^real +GET /products/:id +value \\$\\.price +100 % \\([\\d.]+–100\\) +0 % +${fingerprint}$`, 'm'),
  )
  expect(table).toContain('1 field of noise; --all shows it')
  const parity = JSON.parse(await strangler('parity', '--json')) as ParityResponse
  expect(parity.contexts[0]?.accounting).toMatchObject({ eligible: 65, mismatched: 65, matched: 0 })
  expect((await runStrangler(['parity', '--fail-under', '99.9'], { env })).code).toBe(1)

  const shown = await strangler('diffs', 'catalog', '--show', fingerprint)
  expect(shown).toMatch(/^≠ +"price": 12\.5,? +│ +"price": 12\.51,?$/m)
  const script = await strangler('diffs', 'export', fingerprint)
  expect(script).toMatch(/'\/products\/\d+\?token='"\$\{MASKED_TARGET_1:\?\}"/)
  const vitest = await strangler('diffs', 'export', fingerprint, '--as', 'vitest')
  for (const text of [table, shown, script, vitest]) expect(text).not.toContain('hunter2')

  const rules = join(gateway.folder, 'rules.json')
  await writeFile(rules, JSON.stringify({ tolerance: [{ path: '$.price', absolute: 0.02 }] }))
  expect(await strangler('shadow', 'try-rule', 'catalog', rules)).toMatch(
    new RegExp(`value \\$\\.price +[1-3] +0 +0 +${fingerprint}`),
  )

  await strangler('diffs', 'rule', fingerprint, 'noise', '--reason', 'rounding')
  expect((await differences()).differences.map(({ verdict }) => verdict)).toEqual(['noise', 'noise'])
  await strangler('diffs', 'rule', fingerprint, 'auto')
  expect((await differences()).differences[0]).toMatchObject({ fingerprint, verdict: 'real', state: 'open' })

  wrong = 12.5
  await strangler('diffs', 'resolve', fingerprint, '--reason', 'fixed')
  await browse(5, 70)
  expect((await differences()).differences.at(-1)).toMatchObject({ fingerprint, state: 'resolved' })
  wrong = 12.51
  await browse(1, 71)
  expect((await differences()).differences[0]).toMatchObject({ fingerprint, state: 'reopened', verdict: 'real' })
})
