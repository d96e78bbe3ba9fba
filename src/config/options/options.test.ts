import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ecPair, pemOf, rsaPair } from '../../../test/kit/tokens.ts'
import { formatMistakes } from '../mistake.ts'
import { readEnv } from './env.ts'
import { OPTIONS, type RawOptions } from './option-table.ts'
import { mergeOptions } from './options.ts'

function merged(commandLine: RawOptions, environment: NodeJS.ProcessEnv = {}) {
  const options = mergeOptions(commandLine, readEnv(environment).written)
  if (!options.ok) throw new Error(formatMistakes(options.mistakes))
  return options.options
}

function mistakesOf(commandLine: RawOptions, environment: NodeJS.ProcessEnv = {}): string {
  const options = mergeOptions(commandLine, readEnv(environment).written)
  return options.ok ? '' : formatMistakes(options.mistakes)
}

const JWT = {
  STRANGLER_ADMIN_JWT_ISSUER: 'https://login.example.com/',
  STRANGLER_ADMIN_JWT_AUDIENCE: 'strangler',
  STRANGLER_ADMIN_JWT_ALGORITHMS: 'ES256',
}

function pemFile(pem: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'strangler-pem-')), 'key.pem')
  writeFileSync(file, pem)
  return file
}

const UNLEASH = { UNLEASH_URL: 'https://unleash.example.com/api', UNLEASH_API_TOKEN: 'default:production.abc' }

describe('options', () => {
  test('have defaults', () => {
    expect(merged({})).toEqual({
      config: 'routes.config.ts',
      host: '127.0.0.1',
      port: 8080,
      adminHost: '127.0.0.1',
      adminPort: 8081,
      adminNames: [],
      adminTrustedProxies: [],
      metricsCacheMs: 1000,
      adminToken: undefined,
      adminJwt: undefined,
      requireReason: false,
      flags: 'flags.json',
      stateDir: '.strangler',
      name: undefined,
      forgetAfterMs: 900_000,
      accessLog: '-',
      logLevel: 'info',
      cookieSecret: undefined,
      unleash: undefined,
      color: true,
    })
  })

  test('of the command line win over the environment, which wins over the defaults', () => {
    const environment = { STRANGLER_PORT: '9000', STRANGLER_HOST: '0.0.0.0', STRANGLER_LOG_LEVEL: 'debug' }
    expect(merged({ port: '9100' }, environment)).toMatchObject({
      port: 9100,
      host: '0.0.0.0',
      logLevel: 'debug',
      adminPort: 8081,
    })
  })

  test('each have a variable', () => {
    const environment = {
      STRANGLER_CONFIG: 'a/b.mjs',
      STRANGLER_HOST: '::',
      STRANGLER_PORT: '1',
      STRANGLER_ADMIN_HOST: 'localhost',
      STRANGLER_ADMIN_PORT: '2',
      STRANGLER_ADMIN_NAMES: 'gateway, Gateway.prod',
      STRANGLER_ADMIN_URL: 'http://10.0.0.7:8081',
      STRANGLER_ADMIN_TRUSTED_PROXIES: '10.0.0.0/8, loopback',
      STRANGLER_METRICS_TOKEN: 'm'.repeat(32),
      STRANGLER_METRICS_CACHE_MS: '250',
      STRANGLER_ADMIN_TOKEN: 'a'.repeat(32),
      STRANGLER_ADMIN_JWT_ISSUER: 'https://login.example.com/',
      STRANGLER_ADMIN_JWT_AUDIENCE: 'strangler',
      STRANGLER_ADMIN_JWT_ALGORITHMS: 'RS256, ES256',
      STRANGLER_ADMIN_JWT_JWKS_URI: 'https://login.example.com/jwks.json',
      STRANGLER_ADMIN_JWT_ROLE_CLAIM: 'strangler_role',
      STRANGLER_REQUIRE_REASON: 'on',
      STRANGLER_FLAGS: 'f.json',
      STRANGLER_STATE_DIR: 's',
      STRANGLER_NAME: 'edge-1',
      STRANGLER_FORGET_AFTER: '1m',
      REDIS_URL: 'rediss://:pass@redis.internal:6379/0',
      STRANGLER_REDIS_PREFIX: 'shop',
      STRANGLER_ACCESS_LOG: 'l',
      STRANGLER_LOG_LEVEL: 'warn',
      STRANGLER_COOKIE_SECRET: 'sixteen letters!',
      ...UNLEASH,
      UNLEASH_APP_NAME: 'edge',
      UNLEASH_ENVIRONMENT: 'production',
      UNLEASH_ADMIN_TOKEN: '*:*.def',
      UNLEASH_PROJECT: 'shop',
      NO_COLOR: '1',
    }
    // Two more are other places for the same keys and the same token.
    const others = ['STRANGLER_ADMIN_JWT_PUBLIC_KEY', 'STRANGLER_METRICS_TOKEN_FILE']
    expect([...Object.keys(environment), ...others].sort()).toEqual(
      Object.values(OPTIONS)
        .map(({ variable }) => variable)
        .sort(),
    )
    expect(merged({}, environment)).toEqual({
      config: 'a/b.mjs',
      host: '::',
      port: 1,
      adminHost: 'localhost',
      adminPort: 2,
      adminNames: ['gateway', 'gateway.prod'],
      adminTrustedProxies: ['10.0.0.0/8', 'loopback'],
      metricsToken: 'm'.repeat(32),
      metricsCacheMs: 250,
      adminUrl: 'http://10.0.0.7:8081',
      adminToken: 'a'.repeat(32),
      adminJwt: {
        issuer: 'https://login.example.com/',
        audience: 'strangler',
        algorithms: ['RS256', 'ES256'],
        key: { kind: 'jwks', uri: 'https://login.example.com/jwks.json' },
        roleClaim: 'strangler_role',
      },
      requireReason: true,
      flags: 'f.json',
      stateDir: 's',
      name: 'edge-1',
      forgetAfterMs: 60_000,
      redis: { url: 'rediss://:pass@redis.internal:6379/0', prefix: 'shop' },
      accessLog: 'l',
      logLevel: 'warn',
      cookieSecret: 'sixteen letters!',
      unleash: {
        url: 'https://unleash.example.com/api',
        token: 'default:production.abc',
        appName: 'edge',
        environment: 'production',
        adminToken: '*:*.def',
        project: 'shop',
      },
      color: false,
    })
  })

  test('put the embedded flags beside the config', () => {
    expect(merged({ config: '/etc/shop/routes.config.ts' }).flags).toBe('/etc/shop/flags.json')
    expect(merged({ config: '/etc/shop/routes.config.ts', flags: 'x.json' }).flags).toBe('x.json')
  })

  test('take an empty variable for one that is not set', () => {
    expect(merged({}, { STRANGLER_PORT: '', UNLEASH_URL: '', NO_COLOR: '' })).toMatchObject({
      port: 8080,
      unleash: undefined,
      color: true,
    })
  })

  test('take a bracketed IPv6 address', () => {
    expect(merged({ host: '[::1]' }).host).toBe('::1')
  })

  test('of an Unleash without an admin token only read it, in the default project', () => {
    expect(merged({}, UNLEASH).unleash).toMatchObject({ adminToken: undefined, project: 'default' })
  })

  test('of signed admin tokens may name a public key in a file', () => {
    const file = pemFile(pemOf(ecPair('P-256')))
    const { adminJwt } = merged({}, { ...JWT, STRANGLER_ADMIN_JWT_PUBLIC_KEY: file })
    expect(adminJwt).toMatchObject({ algorithms: ['ES256'], roleClaim: 'role', key: { kind: 'public-key' } })
  })

  test.each<[NodeJS.ProcessEnv, boolean]>([
    [{}, false],
    [{ NODE_ENV: 'development', CI: '' }, false],
    [{ CI: 'false' }, false],
    [{ NODE_ENV: 'production' }, true],
    [{ CI: 'true' }, true],
    [{ CI: '1', STRANGLER_REQUIRE_REASON: 'off' }, false],
    [{ STRANGLER_REQUIRE_REASON: 'on' }, true],
  ])('ask for a reason where nobody is at the keyboard, unless told: %o', (environment, expected) => {
    expect(merged({}, environment).requireReason).toBe(expected)
  })

  test('take free ports for both', () => {
    expect(merged({ port: '0', adminPort: '0' })).toMatchObject({ port: 0, adminPort: 0 })
  })
})

describe('a mistake in an option names its source', () => {
  test.each<[RawOptions, NodeJS.ProcessEnv, string]>([
    [{ port: '65536' }, {}, '--port: must be a port from 0 to 65535 (found "65536")'],
    [{ port: '-1' }, {}, '--port: must be a port'],
    [{ port: '80a' }, {}, '--port: must be a port'],
    [{}, { STRANGLER_PORT: 'http' }, 'STRANGLER_PORT: must be a port'],
    [{}, { STRANGLER_PORT: 'tcp://10.0.0.1:80' }, 'set "enableServiceLinks: false" in the pod'],
    [{ adminPort: '8080' }, {}, '--admin-port: is the port for clients as well'],
    [{ host: 'http://x' }, {}, '--host: must be an address or name to listen on'],
    [{ adminHost: '' }, {}, '--admin-host: must be an address or name'],
    [{ config: '' }, {}, '--config: must not be empty'],
    [{ flags: '' }, {}, '--flags: must not be empty'],
    [{ forgetAfter: '5s' }, {}, '--forget-after: must be a duration from 10s to 7d, such as 15m (found "5s")'],
    [{ name: 'a b' }, {}, '--name: must be up to 64 letters, digits, and - _ . : (found "a b")'],
    [{ name: '..' }, {}, '--name: must begin with a letter or a digit (found "..")'],
    [{ name: '-edge' }, {}, '--name: must begin with a letter or a digit (found "-edge")'],
    [{ stateDir: ' ' }, {}, '--state-dir: must not be empty'],
    [
      { logLevel: 'wran' },
      {},
      '--log-level: must be one of silent, error, warn, info, debug; did you mean "warn"? (found "wran")',
    ],
    [{}, { STRANGLER_COOKIE_SECRET: 'short' }, 'STRANGLER_COOKIE_SECRET: must have at least 16 characters'],
    [{}, { UNLEASH_URL: UNLEASH.UNLEASH_URL }, 'UNLEASH_API_TOKEN: is missing, as UNLEASH_URL is set'],
    [{}, { UNLEASH_API_TOKEN: 'x' }, 'UNLEASH_URL: is missing, as UNLEASH_API_TOKEN is set'],
    [{}, { ...UNLEASH, UNLEASH_URL: 'unleash:4242' }, 'UNLEASH_URL: must be the API’s address'],
    [{}, { ...UNLEASH, UNLEASH_URL: 'http://me:pw@unleash' }, 'UNLEASH_URL: must have no user and password'],
    [{}, { ...UNLEASH, UNLEASH_API_TOKEN: 'a b' }, 'UNLEASH_API_TOKEN: must be one token'],
    [{}, { ...UNLEASH, UNLEASH_ADMIN_TOKEN: 'a\nb' }, 'UNLEASH_ADMIN_TOKEN: must be one token'],
    [{}, { UNLEASH_ADMIN_TOKEN: 'x' }, 'UNLEASH_API_TOKEN: is missing, as UNLEASH_ADMIN_TOKEN is set'],
    [{}, { ...UNLEASH, UNLEASH_PROJECT: ' ' }, 'UNLEASH_PROJECT: must not be empty'],
    [{}, { STRANGLER_ADMIN_TOKEN: 'x'.repeat(31) }, 'STRANGLER_ADMIN_TOKEN: must have at least 32 characters'],
    [{}, { STRANGLER_ADMIN_TOKEN: 'x y'.repeat(20) }, 'STRANGLER_ADMIN_TOKEN: must be one token'],
    [{}, { STRANGLER_ADMIN_TRUSTED_PROXIES: '10.0.0.0/8,proxy' }, 'PROXIES: must be an IP address, a range'],
    [{}, { STRANGLER_METRICS_CACHE_MS: '60001' }, 'STRANGLER_METRICS_CACHE_MS: must be milliseconds from 0 to 60000'],
    [{}, { STRANGLER_METRICS_TOKEN: 'short' }, 'STRANGLER_METRICS_TOKEN: must have at least 32 characters'],
    [{}, { STRANGLER_METRICS_TOKEN_FILE: '/nowhere' }, 'must be a file that can be read (ENOENT)'],
    [{}, { STRANGLER_REQUIRE_REASON: 'yes' }, 'STRANGLER_REQUIRE_REASON: must be on or off (found "yes")'],
    [{}, { STRANGLER_ADMIN_JWT_ISSUER: 'x' }, 'AUDIENCE: is missing, as STRANGLER_ADMIN_JWT_ISSUER is set'],
    [{}, { STRANGLER_ADMIN_JWT_ISSUER: 'x' }, 'ALGORITHMS: is missing, as STRANGLER_ADMIN_JWT_ISSUER is set'],
    [{}, JWT, 'STRANGLER_ADMIN_JWT_JWKS_URI: is missing; set it, or set STRANGLER_ADMIN_JWT_PUBLIC_KEY'],
    [{}, { ...JWT, STRANGLER_ADMIN_JWT_JWKS_URI: 'jwks' }, 'JWKS_URI: must be an address such as'],
    [{}, { ...JWT, STRANGLER_ADMIN_JWT_JWKS_URI: 'http://a:b@x' }, 'JWKS_URI: must have no user and password'],
    [
      {},
      { ...JWT, STRANGLER_ADMIN_JWT_JWKS_URI: 'http://login.example.com/jwks.json' },
      'JWKS_URI: must begin with "https://"',
    ],
    [{}, { ...JWT, STRANGLER_ADMIN_JWT_PUBLIC_KEY: '/nowhere' }, 'must be a file that can be read (ENOENT)'],
    [
      {},
      { ...JWT, STRANGLER_ADMIN_JWT_PUBLIC_KEY: pemFile(pemOf(rsaPair())) },
      'is of the type rsa, which ES256 cannot',
    ],
    [{}, { ...JWT, STRANGLER_ADMIN_JWT_ALGORITHMS: 'HS256' }, 'ALGORITHMS: must be one or more of RS256'],
    [{}, { ...JWT, STRANGLER_ADMIN_JWT_ALGORITHMS: 'none' }, 'ALGORITHMS: must be one or more of RS256'],
  ])('%o %o', (commandLine, environment, expected) => {
    expect(mistakesOf(commandLine, environment)).toContain(expected)
  })

  test('and all of them are reported at once', () => {
    expect(mistakesOf({ port: 'x', host: '' }, { STRANGLER_LOG_LEVEL: 'x' }).split('\n')).toHaveLength(3)
  })

  test('and no secret is shown', () => {
    const environment = {
      STRANGLER_COOKIE_SECRET: 'hunter2',
      UNLEASH_API_TOKEN: 'hunter2 x',
      UNLEASH_URL: 'http://me:hunter2@unleash',
    }
    expect(mistakesOf({}, environment)).not.toContain('hunter2')
  })

  test.each([
    'unleash:hunter2@host',
    'ftp://me:hunter2@unleash/api',
    'me:hunter2@unleash',
    'ws://unleash/api?token=hunter2',
    'unleash/api?hunter2',
    'ws://unleash/#hunter2',
  ])('nor one in an address of Unleash that is refused: %s', (url) => {
    const shown = mistakesOf({}, { ...UNLEASH, UNLEASH_URL: url })
    expect(shown).toContain('UNLEASH_URL: must be')
    expect(shown).not.toContain('hunter2')
  })
})

describe('the environment', () => {
  test('with a misspelt variable says so: it would be a silent default', () => {
    expect(formatMistakes(readEnv({ STRANGLER_PROT: '80' }).mistakes)).toBe(
      'STRANGLER_PROT: unknown variable; did you mean "STRANGLER_PORT"?',
    )
    expect(formatMistakes(readEnv({ STRANGLER_ADMINPORT: '80' }).mistakes)).toContain(
      'did you mean "STRANGLER_ADMIN_PORT"?',
    )
  })

  test('may hold what Kubernetes makes for a Service named "strangler", and anything of others', () => {
    const environment = {
      STRANGLER_SERVICE_HOST: '10.0.0.1',
      STRANGLER_SERVICE_PORT: '80',
      STRANGLER_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      STRANGLER_PORT_8080_TCP_PROTO: 'tcp',
      PATH: '/bin',
      UNLEASH_PROT: 'x',
    }
    expect(readEnv(environment)).toEqual({ written: {}, mistakes: [] })
  })

  test('is the process’s own unless another is given', () => {
    expect(readEnv().mistakes).toEqual([])
  })
})
