// The gateway that a command calls, and its token, which is never sent to another gateway.
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EMPTY_STATUS, emptyFolder, startApi, strangler, type TestApi } from './admin-api.test-kit.ts'

const STATUS = { json: EMPTY_STATUS }

async function homeWith(profiles: unknown, mode = 0o600): Promise<string> {
  const home = await emptyFolder()
  const file = join(home, '.config/strangler/profiles.json')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof profiles === 'string' ? profiles : JSON.stringify(profiles))
  await chmod(file, mode)
  return home
}

async function folderOfAGateway(): Promise<string> {
  const cwd = await emptyFolder()
  await mkdir(join(cwd, '.strangler'))
  await writeFile(join(cwd, '.strangler/admin-token'), 'found-token\n', { mode: 0o600 })
  return cwd
}

function tokensSentTo({ requests }: TestApi): (string | undefined)[] {
  return requests.map(({ headers }) => headers.authorization)
}

describe('a command without options', () => {
  it('calls the gateway of this machine, with the token of its state directory', async () => {
    const api = await startApi(STATUS)
    const cwd = await folderOfAGateway()
    const env = { STRANGLER_ADMIN_PORT: new URL(api.url).port, STRANGLER_ADMIN_HOST: '0.0.0.0' }
    expect((await strangler(['status'], { cwd, env })).code).toBe(0)
    expect(tokensSentTo(api)).toEqual(['Bearer found-token'])
  })

  it('sends the token of STRANGLER_ADMIN_TOKEN to this machine, and to no other machine', async () => {
    const api = await startApi(STATUS)
    const cwd = await folderOfAGateway()
    const env = { STRANGLER_ADMIN_PORT: new URL(api.url).port, STRANGLER_ADMIN_TOKEN: 'started-with' }
    expect((await strangler(['status'], { cwd, env })).code).toBe(0)
    await strangler(['status', '--url', api.url.replace('127.0.0.1', '0.0.0.0')], { cwd, env })
    expect(tokensSentTo(api)).toEqual(['Bearer started-with', undefined])
  })

  it('sends a token from a file to no other machine', async () => {
    const api = await startApi(STATUS)
    const cwd = await folderOfAGateway()
    // This machine, under an address that is not loopback.
    const elsewhere = api.url.replace('127.0.0.1', '0.0.0.0')
    await strangler(['status', '--url', elsewhere], { cwd })
    await strangler(['status', '--url', api.url], { cwd })
    expect(tokensSentTo(api)).toEqual([undefined, 'Bearer found-token'])
  })
})

describe('a token over plain HTTP', () => {
  it('to another host causes a warning on stderr, and stdout is not changed', async () => {
    const api = await startApi(STATUS)
    // This machine under a name that is not loopback.
    const elsewhere = api.url.replace('127.0.0.1', '0.0.0.0')
    const { code, stderr, stdout } = await strangler(['status', '--url', elsewhere, '--token', 'spoken', '--json'])
    expect(code).toBe(0)
    expect(stderr).toBe(
      `strangler: warning: the token goes to ${elsewhere} over plain HTTP, where others can read it; use https://, or a tunnel that ends on this machine\n`,
    )
    expect(JSON.parse(stdout)).toEqual(EMPTY_STATUS)
    expect(tokensSentTo(api)).toEqual(['Bearer spoken'])
  })

  it('to this machine, or a request without a token, causes no warning', async () => {
    const api = await startApi(STATUS)
    const local = await strangler(['status', '--url', api.url, '--token', 'spoken'])
    const tokenless = await strangler(['status', '--url', api.url.replace('127.0.0.1', '0.0.0.0')])
    expect([local.stderr, tokenless.stderr]).toEqual(['', ''])
  })
})

describe('the gateway in options and variables', () => {
  it('is taken from the command line before the environment', async () => {
    const [named, other] = [await startApi(STATUS), await startApi(STATUS)]
    await strangler(['status', '--url', `${named.url}/`, '--token', 'spoken'], { api: other })
    expect([tokensSentTo(named), tokensSentTo(other)]).toEqual([['Bearer spoken'], []])
  })

  it.each([
    [['--url', 'http://x', '--profile', 'y'], {}, /--url and --profile are two gateways/],
    [[], { STRANGLER_URL: 'http://x', STRANGLER_PROFILE: 'y' }, /STRANGLER_URL and STRANGLER_PROFILE are two gateways/],
    [['--token', 'two words'], {}, /the token must be one word/],
    [['--profile', 'prod'], {}, /there is no profile "prod", as there is no .*profiles\.json/],
    [[], { STRANGLER_TOKN: 'x' }, /STRANGLER_TOKN: unknown variable; did you mean "STRANGLER_TOKEN"\?/],
    [[], { STRANGLER_URL: 'ftp://x' }, /STRANGLER_URL: must be the address of an admin port/],
  ])('is a usage error with the options %j and the variables %j', async (args, env, sentence) => {
    const { code, stderr } = await strangler(['status', ...args], { env })
    expect(code).toBe(2)
    expect(stderr).toMatch(sentence)
    expect(stderr).not.toContain('two words')
  })
})

describe('a profile', () => {
  it('has a URL and a token, which is sent only to this URL', async () => {
    const [prod, other] = [await startApi(STATUS), await startApi(STATUS)]
    const HOME = await homeWith({ prod: { url: prod.url, token: 'of-prod' }, default: { url: other.url } })
    await strangler(['status', '--profile', 'prod'], { env: { HOME, STRANGLER_TOKEN: 'of-environment' } })
    await strangler(['status'], { env: { HOME, STRANGLER_PROFILE: 'prod' } })
    await strangler(['status', '--url', other.url], { env: { HOME, STRANGLER_PROFILE: 'prod' } })
    await strangler(['status'], { env: { HOME, STRANGLER_TOKEN: 'of-environment' } })
    expect(tokensSentTo(prod)).toEqual(['Bearer of-prod', 'Bearer of-prod'])
    expect(tokensSentTo(other)).toEqual([undefined, 'Bearer of-environment'])
  })

  it('is not used if other users can read its file', async () => {
    const api = await startApi(STATUS)
    const HOME = await homeWith({ prod: { url: api.url, token: 'of-prod' } }, 0o640)
    const { code, stderr } = await strangler(['status', '--profile', 'prod'], { env: { HOME } })
    expect(code).toBe(2)
    expect(stderr).toMatch(/can be read by other users, and contains tokens: run chmod 600/)
    expect(api.requests).toHaveLength(0)
  })

  it.each([
    ['{ "prod": { "token": "hush"', /is not JSON/],
    [{ prod: { token: 'hush' } }, /profile "prod" has no "url"/],
    [{ prod: { url: 'http://x', token: 7 } }, /token of profile "prod" must be a string/],
    [{ prd: { url: 'http://x' } }, /has no profile "prod"; did you mean "prd"\?/],
  ])('with the content %j is a usage error, and the message contains no token', async (profiles, sentence) => {
    const env = { HOME: await homeWith(profiles) }
    const { code, stderr } = await strangler(['status', '--profile', 'prod'], { env })
    expect(code).toBe(2)
    expect(stderr).toMatch(sentence)
    expect(stderr).not.toContain('hush')
  })
})
