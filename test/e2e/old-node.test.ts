// A Node version that is too old: the command and the package print one sentence.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'

const BIN = fileURLToPath(new URL('../../bin', import.meta.url))
const SENTENCE =
  /^(Error: )?strangler-gateway needs Node 24 or newer and this is v\d+\.\d+\.\d+: install it from [^\n]+\.$/m

/** A Node below version 24 on this machine, such as the Node of Debian. */
const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
  if (!existsSync(path)) return false
  const { stdout } = spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' })
  return Number(stdout.split('.')[0]) < 24
})

describe.skipIf(oldNode === undefined && !process.env.CI)('on a Node that is too old', () => {
  test.each(['index', 'express'])('an import of the package fails with one sentence (%s)', (name) => {
    const script = `import(${JSON.stringify(join(BIN, `${name}.js`))}).catch((error) => { console.log(error.message) })`
    const { stdout, stderr } = run(['-e', script])
    expect(stdout).toMatch(SENTENCE)
    expect(stdout.trim().split('\n')).toHaveLength(1)
    expect(stderr).toBe('')
  })

  test('the command prints one sentence and exits with 1', () => {
    // A copy in another folder: in a checkout the command would use the Node that npm installed.
    const folder = mkdtempSync(join(tmpdir(), 'strangler-old-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    cpSync(BIN, join(folder, 'bin'), { recursive: true })
    const { stderr, status } = run([join(folder, 'bin', 'strangler.js'), 'check'], folder)
    expect(status).toBe(1)
    expect(stderr.trim()).toMatch(SENTENCE)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})

function run(args: string[], cwd?: string) {
  if (oldNode === undefined) throw new Error('CI must have a Node below 24 in /usr/bin or /usr/local/bin')
  return spawnSync(oldNode, args, { encoding: 'utf8', cwd, env: { PATH: '/usr/bin:/bin', NODE_NO_WARNINGS: '1' } })
}
