// The gateway as a dependency of another project: the package of `npm pack`, with its dependencies only.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flagFile } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler, startGatewayProcess } from '../kit/process.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

let project = ''
let strangler = ''

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'strangler-installed-'))
  await run('npm', ['pack', '--pack-destination', project], { cwd: ROOT })
  const tarball = (await readdir(project)).find((name) => name.endsWith('.tgz')) as string
  const modules = join(project, 'node_modules')
  const installed = join(modules, 'strangler-gateway')
  await mkdir(installed, { recursive: true })
  await run('tar', ['xzf', join(project, tarball), '--strip-components=1', '-C', installed])
  const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) {
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  }
  strangler = join(modules, '.bin', 'strangler')
  await mkdir(dirname(strangler))
  await symlink('../strangler-gateway/bin/strangler.js', strangler)
  const map = JSON.stringify(shop({ legacy: 'http://127.0.0.1:3000', service: 'http://127.0.0.1:3001' }))
  await writeFile(join(project, 'package.json'), '{ "name": "somebody-elses", "type": "module" }')
  await writeFile(join(project, 'flags.json'), flagFile({ 'migrate-catalog': 100 }))
  await writeFile(
    join(project, 'routes.config.ts'),
    `import { defineRoutes } from 'strangler-gateway'\nexport default defineRoutes(${map})\n`,
  )
  await writeFile(
    join(project, 'commonjs.cjs'),
    `const { defineRoutes } = require('strangler-gateway')\nmodule.exports = defineRoutes(${map})\n`,
  )
})

afterAll(() => rm(project, { recursive: true, force: true }))

describe('the packed gateway', () => {
  it('contains its runtime files, and no tests, sources or examples', async () => {
    const names = await readdir(join(project, 'node_modules', 'strangler-gateway'))
    expect(names).toEqual(expect.arrayContaining(['LICENSE', 'bin', 'dist', 'package.json']))
    for (const name of ['src', 'test', 'bench', 'legacy-monolith', 'extracted-services', 'flags.json', '.strangler'])
      expect(names).not.toContain(name)
    const files = await readdir(join(project, 'node_modules', 'strangler-gateway', 'dist'), { recursive: true })
    expect(files.filter((name) => /\.test[.-]/.test(name))).toEqual([])
  })

  it('checks and explains a map that imports it, in TypeScript and in CommonJS', async () => {
    const invocation = { command: strangler, cwd: project }
    expect(await runStrangler(['check'], invocation)).toMatchObject({
      code: 0,
      stdout: 'routes.config.ts is valid: 1 context, 2 routes, 1 service\n',
      stderr: '',
    })
    expect(await runStrangler(['check', '--config', 'commonjs.cjs'], invocation)).toMatchObject({ code: 0, stderr: '' })
    const { stdout } = await runStrangler(['explain', 'GET', '/products', '--session', '7'], invocation)
    expect(stdout).toMatch(/reason +flag-on/)
  })

  it('serves requests', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const config = { ...shop({ legacy: legacy.url, service: service.url }), drain: { noticeMs: 0, limitMs: 1000 } }
    const gateway = await startGatewayProcess(config, { ...TO_SERVICE, strangler })
    expect((await sendRequest({ port: gateway.port, path: '/products' })).headers['x-side']).toBe('service')
    expect((await sendRequest({ port: gateway.port })).headers['x-side']).toBe('legacy')
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toEqual({ code: 0, signal: null })
  })

  it('offers the Express middleware and the types of the map', async () => {
    const script = `import { strangler } from 'strangler-gateway/express'; console.log(typeof strangler)`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: project })
    expect(stdout).toBe('function\n')
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--types', '', '--skipLibCheck']
    await run(process.execPath, [tsc, ...options, 'routes.config.ts'], { cwd: project })
    await writeFile(
      join(project, 'wrong.ts'),
      `import { defineRoutes } from 'strangler-gateway'\nexport default defineRoutes({ legacy: { port: 3000 } })\n`,
    )
    const wrong = run(process.execPath, [tsc, ...options, 'wrong.ts'], { cwd: project })
    await expect(wrong).rejects.toMatchObject({ stdout: expect.stringMatching(/'port' does not exist/) })
  })
})
