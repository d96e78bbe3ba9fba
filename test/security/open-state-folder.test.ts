// Another user of the machine can write to the state folder: the admin token and the kill file are there.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler, startGatewayProcess } from '../kit/process.ts'

it.each([
  [0o770, '0770'],
  [0o1777, '1777'],
  [0o755, undefined],
])(
  'a state folder with mode %i (decimal) is reported at the start and in status if others can write to it',
  async (mode, shown) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'strangler-open-'))
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }))
    await chmod(stateDir, mode)
    const legacy = await startNamedOrigin('legacy')
    const env = { STRANGLER_ADMIN_TOKEN: 'a-token-of-the-open-folder-tests' }
    const gateway = await startGatewayProcess({ legacy: { url: legacy.url } }, { args: ['--state-dir', stateDir], env })
    const url = `http://127.0.0.1:${gateway.adminPort}`
    const status = async () =>
      (await runStrangler(['status', '--url', url, '--token', env.STRANGLER_ADMIN_TOKEN])).stdout
    if (shown === undefined) {
      expect(gateway.log()).not.toContain('other users can write')
      expect(await status()).not.toContain('other users can write')
      return
    }
    expect(gateway.log()).toContain(`(mode ${shown}), and so change what the gateway does: run chmod 700 ${stateDir}`)
    expect(await status()).toContain(`other users can write to ${stateDir} (mode ${shown}): run chmod 700`)

    await chmod(stateDir, 0o700)
    expect(await status()).not.toContain('other users can write')
  },
)
