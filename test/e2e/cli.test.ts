// The command line: each command behaves as its manual describes, and an error is one sentence and an exit code.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { flagFile } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler, startGatewayProcess } from '../kit/process.ts'
import { shop } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const CONFIG = shop({
  legacy: 'http://127.0.0.1:3000',
  service: 'http://127.0.0.1:3001',
  with: {
    trustedProxies: ['10.0.0.0/8'],
    identity: { user: { header: 'x-user-id', trust: ['10.0.0.0/8'] }, session: { cookie: 'sid' }, anonymous: 'cookie' },
  },
})
const BAD_CONFIG = { legacy: { url: 'ftp://nowhere', conections: 3 }, limits: { headersMs: 'soon' } }

/** A temporary folder with these files. */
async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

function shopFolder(percent = 100): Promise<string> {
  return folderWith({
    'routes.config.json': JSON.stringify(CONFIG),
    'flags.json': flagFile({ 'migrate-catalog': percent }),
  })
}

/** Exactly one line, without a stack trace. */
function expectOneSentence(stderr: string): void {
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+|node:internal|Error:/)
}

async function takenPort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe('help', () => {
  it.each([[['--help']], [['-h']], [['help']], [[]]])('%j lists the commands', async (args) => {
    const { code, stdout, stderr } = await runStrangler(args)
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const command of ['serve', 'check', 'explain']) expect(stdout).toMatch(new RegExp(`^ {2}${command} +\\w`, 'm'))
  })

  it.each([
    [
      'serve',
      ['--config', '--host', '--port', '--admin-host', '--admin-port', '--flags', '--state-dir', '--access-log'],
    ],
    ['check', ['--config', '--json']],
    ['explain', ['--user', '--session', '--anonymous', '--ip', '--host', '--json', '--config', '--flags']],
  ])('of %s lists every option, with --help and with help', async (command, options) => {
    const { code, stdout } = await runStrangler([command, '--help'])
    expect(code).toBe(0)
    for (const option of options) expect(stdout).toContain(`  ${option} `)
    expect((await runStrangler(['help', command])).stdout).toBe(stdout)
    if (command === 'serve')
      for (const name of ['STRANGLER_PORT', 'SIGTERM', 'UNLEASH_URL']) expect(stdout).toContain(name)
  })

  it('for version prints the version of the package', async () => {
    expect((await runStrangler(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('a usage error', () => {
  it.each([
    [['srve'], /there is no command "srve"/],
    [['serve', '--prot', '80'], /'--prot'.*--help/],
    [['check', 'routes.config.ts'], /"routes\.config\.ts" is one argument too many/],
    [['serve', '--port', 'high'], /--port: must be a port from 0 to 65535 \(found "high"\)/],
    [['serve', '--port'], /--port/],
    [['explain', 'GET'], /give the request: strangler explain GET/],
    [['explain', 'GET', '/', '--loud'], /'--loud'/],
  ])('in %j exits 2 with one sentence', async (args, sentence) => {
    const { code, stdout, stderr } = await runStrangler(args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(sentence)
    expectOneSentence(stderr)
  })

  it('in the environment names the variable', async () => {
    const { code, stderr } = await runStrangler(['serve'], { env: { STRANGLER_PORT: 'tcp://10.0.0.1:80' } })
    expect(code).toBe(2)
    expect(stderr).toMatch(/STRANGLER_PORT: must be a port/)
    expectOneSentence(stderr)
  })
})

describe('strangler check', () => {
  it('reports a valid config', async () => {
    const folder = await shopFolder()
    const { code, stdout, stderr } = await runStrangler(['check', '--config', join(folder, 'routes.config.json')])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toMatch(/routes\.config\.json is valid: 1 context, 2 routes, 1 service\n$/)
  })

  it('reports warnings about a valid config and exits 0', async () => {
    const contexts = {
      old: { owner: 'team', service: 's', flag: 'old', routes: ['/old'], fallback: true },
      forward: { owner: 'team', service: 's', flag: 'f', routes: ['/f'], fallback: 'all', rollback: 'forward-only' },
    }
    const map = { legacy: { url: 'http://127.0.0.1:1' }, services: { s: { url: 'http://127.0.0.1:2' } }, contexts }
    const folder = await folderWith({ 'warned.json': JSON.stringify(map) })
    const { code, stdout, stderr } = await runStrangler(['check', '--config', 'warned.json'], { cwd: folder })
    expect(code).toBe(0)
    expect(stdout).toBe('warned.json is valid: 2 contexts, 2 routes, 1 service\n')
    const [count, ...warnings] = stderr.trim().split('\n')
    expect(count).toBe('2 warnings')
    expect(warnings[0]).toMatch(/^contexts\.old\.fallback: now means "reads".*\(found true\)$/)
    expect(warnings[1]).toMatch(/^contexts\.forward\.fallback: .*rollback: "forward-only".*\(found "all"\)$/)
    const json = await runStrangler(['check', '--json', '--config', 'warned.json'], { cwd: folder })
    const { ok, warnings: listed } = JSON.parse(json.stdout) as { ok: boolean; warnings: { path: string }[] }
    expect(ok).toBe(true)
    expect(listed.map(({ path }) => path)).toEqual(['contexts.old.fallback', 'contexts.forward.fallback'])
  })

  it('lists every mistake of an invalid config and exits 1', async () => {
    const folder = await folderWith({ 'bad.json': JSON.stringify(BAD_CONFIG) })
    const { code, stdout, stderr } = await runStrangler(['check', '--config', 'bad.json'], { cwd: folder })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    const lines = stderr.trim().split('\n')
    expect(lines[0]).toBe('bad.json: 3 mistakes')
    expect(lines.slice(1).map((line) => line.split(':')[0])).toEqual([
      'legacy.conections',
      'legacy.url',
      'limits.headersMs',
    ])
  })

  it('prints the same as JSON', async () => {
    const folder = await folderWith({ 'bad.json': JSON.stringify(BAD_CONFIG) })
    const { code, stdout } = await runStrangler(['check', '--json', '--config', 'bad.json'], { cwd: folder })
    expect(code).toBe(1)
    const { ok, mistakes } = JSON.parse(stdout) as { ok: boolean; mistakes: { path: string }[] }
    expect(ok).toBe(false)
    expect(mistakes.map(({ path }) => path)).toEqual(['legacy.conections', 'legacy.url', 'limits.headersMs'])
    expect(
      JSON.parse(
        (
          await runStrangler(['check', '--json'], {
            cwd: await shopFolder(),
            env: { STRANGLER_CONFIG: 'routes.config.json' },
          })
        ).stdout,
      ),
    ).toEqual({
      ok: true,
      file: 'routes.config.json',
      mistakes: [],
      warnings: [],
    })
  })
})

describe('identity headers from a range that is wider than trustedProxies', () => {
  const WIDE = { ...CONFIG, trustedProxies: ['127.0.0.1/32'] }
  const MISTAKE = /identity\.user\.trust\[0\]: is not within trustedProxies.*"10\.0\.0\.0\/8"/

  it('are rejected by check, and serve logs a warning at its start and after an edit of the map', async () => {
    const folder = await folderWith({ 'wide.json': JSON.stringify(WIDE) })
    const { code, stderr } = await runStrangler(['check', '--config', 'wide.json'], { cwd: folder })
    expect(code).toBe(1)
    expect(stderr).toMatch(MISTAKE)

    const gateway = await startGatewayProcess(WIDE)
    const warnings = () => gateway.log().match(/"msg":"config applied, and the next version refuses it/g) ?? []
    expect(gateway.log()).toMatch(/identity\.user\.trust\[0\]: is not within trustedProxies/)
    expect(warnings()).toHaveLength(1)
    await gateway.writeConfig(JSON.stringify({ ...WIDE, limits: { connections: 500 } }))
    await until(() => warnings().length === 2)
  })

  it('are accepted without a warning if trustedProxies contains the range', async () => {
    const gateway = await startGatewayProcess(CONFIG)
    expect(gateway.log()).not.toContain('identity.user.trust')
  })
})

describe('strangler explain', () => {
  it('prints the whole trace', async () => {
    const folder = await shopFolder(50)
    const args = ['explain', 'get', '/products/./7?q=1', '--user', '42', '--config', join(folder, 'routes.config.json')]
    const { code, stdout, stderr } = await runStrangler(args)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^GET \/products\/\.\/7\?q=1$/m)
    expect(stdout).toMatch(/^ {2}path +\/products\/7$/m)
    expect(stdout).toMatch(/^ {2}route +\/products\/\*$/m)
    expect(stdout).toMatch(/^ {2}context +catalog \(team-catalog\)$/m)
    expect(stdout).toMatch(/^ {2}identity +user 42$/m)
    expect(stdout).toMatch(/^ {2}flag +migrate-catalog: o(n|ff)$/m)
    expect(stdout).toMatch(
      /flexibleRollout 50 %, stickiness default, bucket \d+ of 100 \(murmur3 of "migrate-catalog:42"\): o(n|ff)$/m,
    )
    expect(stdout).toMatch(
      /^ {2}side +(service → http:\/\/127\.0\.0\.1:3001|legacy → http:\/\/127\.0\.0\.1:3000)\/products\/7\?q=1$/m,
    )
    expect(stdout).toMatch(/^ {2}reason +flag-o(n|ff): /m)
  })

  it('prints the same as JSON, and agrees with a running gateway', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const gateway = await startGatewayProcess(
      { ...shop({ legacy: legacy.url, service: service.url }), drain: { noticeMs: 0, limitMs: 500 } },
      { percentages: { 'migrate-catalog': 50 } },
    )
    for (const session of ['ada', 'grace', 'linus', 'margaret']) {
      const args = ['explain', 'GET', '/products', '--session', session, '--json']
      const { code, stdout } = await runStrangler([...args, '--config', join(gateway.folder, 'routes.config.json')])
      expect(code).toBe(0)
      const explained = JSON.parse(stdout) as { side: string; flag: { strategies: { rollout: { bucket: number } }[] } }
      const answer = await sendRequest({ port: gateway.port, path: '/products', headers: { cookie: `sid=${session}` } })
      expect(explained.side).toBe(answer.headers['x-side'])
      expect((explained.flag.strategies[0]?.rollout.bucket ?? 0) <= 50).toBe(explained.side === 'service')
    }
  })

  it('shows that no context owns a path, and that a flag is missing', async () => {
    const folder = await folderWith({ 'routes.config.json': JSON.stringify(CONFIG), 'flags.json': flagFile({}) })
    const options = { cwd: folder, env: { STRANGLER_CONFIG: 'routes.config.json' } }
    const unowned = await runStrangler(['explain', 'GET', '/checkout'], options)
    expect(unowned.code).toBe(0)
    expect(unowned.stdout).toMatch(/reason +unowned: /)
    const missing = await runStrangler(['explain', 'GET', '/products', '--session', 's'], options)
    expect(missing.stdout).toMatch(/flag +migrate-catalog: missing\n +the flag is not known\n/)
    expect(missing.stdout).toMatch(/reason +flag-missing: /)
  })

  it('exits 1 for a request that would be refused, and for a config that cannot be used', async () => {
    const folder = await folderWith({ 'routes.config.json': JSON.stringify(CONFIG), 'bad.json': '{}' })
    const refused = await runStrangler(['explain', 'GET', '/a%00b', '--config', 'routes.config.json'], { cwd: folder })
    expect(refused.code).toBe(1)
    expect(refused.stdout).toMatch(/refused +400 bad-target: /)
    const bad = await runStrangler(['explain', 'GET', '/', '--config', 'bad.json'], { cwd: folder })
    expect(bad.code).toBe(1)
    expect(bad.stderr).toMatch(/bad\.json: 1 mistake\nlegacy: /)
  })
})

describe('strangler serve that cannot start', () => {
  it.each(['--port', '--admin-port'])('because the port of %s is in use prints one sentence', async (option) => {
    const folder = await shopFolder()
    const port = await takenPort()
    const other = option === '--port' ? '--admin-port' : '--port'
    const { code, stderr } = await runStrangler(
      ['serve', '--config', join(folder, 'routes.config.json'), option, String(port), other, '0', '--log-level=error'],
      { cwd: folder },
    )
    expect(code).toBe(1)
    expect(stderr).toBe(
      `strangler serve: 127.0.0.1:${port} is in use by another process; stop it, or choose another ${option}\n`,
    )
  })

  it('without a config prints advice', async () => {
    const folder = await folderWith({})
    const { code, stderr } = await runStrangler(['serve'], { cwd: folder })
    expect(code).toBe(1)
    expect(stderr).toMatch(/routes\.config\.ts: does not exist; create it, or name another file with --config/)
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/)
  })

  it('with an invalid config lists every mistake', async () => {
    const folder = await folderWith({ 'bad.json': JSON.stringify(BAD_CONFIG) })
    const { code, stderr } = await runStrangler(['serve', '--config', 'bad.json', '--port=0', '--admin-port=0'], {
      cwd: folder,
    })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^strangler serve: bad\.json: 3 mistakes\n/)
    expect(stderr.trim().split('\n')).toHaveLength(4)
  })

  it.each([
    [['--host', '192.0.2.1'], /192\.0\.2\.1:0 is not an address of this machine/],
    [['--admin-host', '192.0.2.1'], /192\.0\.2\.1:0 is not an address of this machine; choose another --admin-host/],
    [['--host', 'no-such-host.invalid'], /no-such-host\.invalid/],
  ])('with %j prints one sentence', async (args, sentence) => {
    const folder = await shopFolder()
    const { code, stderr } = await runStrangler(
      [
        'serve',
        '--config',
        join(folder, 'routes.config.json'),
        '--port=0',
        '--admin-port=0',
        '--log-level=error',
        ...args,
      ],
      { cwd: folder },
    )
    expect(stderr).toMatch(sentence)
    expectOneSentence(stderr)
    expect(code).toBe(1)
  })
})

describe('a config file', () => {
  const AS_MODULE = `export default ${JSON.stringify(CONFIG)}\n`
  it.each([
    ['routes.config.json', JSON.stringify(CONFIG)],
    ['routes.config.mjs', AS_MODULE],
    ['routes.config.js', AS_MODULE],
    ['routes.config.cjs', `module.exports = ${JSON.stringify(CONFIG)}\n`],
    ['routes.config.ts', `type Any = object\nconst config: Any = ${JSON.stringify(CONFIG)}\nexport default config\n`],
  ])('%s is read from any folder, by an absolute and by a relative path', async (name, text) => {
    const folder = await folderWith({ [`deep/${name}`]: text, 'deep/package.json': '{"type":"module"}' })
    const elsewhere = await folderWith({})
    const absolute = await runStrangler(['check', '--config', join(folder, 'deep', name)], { cwd: elsewhere })
    expect(absolute).toMatchObject({ code: 0, stderr: '' })
    const relative = await runStrangler(['check', '--config', `deep/${name}`], { cwd: folder })
    expect(relative).toMatchObject({ code: 0, stderr: '' })
  })

  it('has its flags in the same folder, whatever the working directory', async () => {
    const folder = await shopFolder(100)
    const elsewhere = await folderWith({ 'flags.json': flagFile({ 'migrate-catalog': 0 }) })
    const args = ['explain', 'GET', '/products', '--user', '1', '--config', join(folder, 'routes.config.json')]
    expect((await runStrangler(args, { cwd: elsewhere })).stdout).toMatch(/reason +flag-on/)
    expect((await runStrangler([...args, '--flags', 'flags.json'], { cwd: elsewhere })).stdout).toMatch(
      /reason +flag-off/,
    )
  })

  it('that imports strangler-gateway works inside this repository', async () => {
    const { code, stdout } = await runStrangler(['check'], { cwd: new URL('../..', import.meta.url).pathname })
    expect(stdout).toMatch(/^routes\.config\.ts is valid: /)
    expect(code).toBe(0)
  })
})
