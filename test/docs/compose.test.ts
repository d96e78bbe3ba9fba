// Reads docker-compose.yml, the Dockerfile and the recipes of the documents. It starts no container.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { testWith } from '../kit/programs.ts'
import { documents, fences, ROOT, read } from './markdown.ts'

type Service = {
  readonly image: string
  readonly build?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly networks?: readonly string[]
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly depends_on?: Readonly<Record<string, unknown>>
  readonly mem_limit?: string
  readonly cpus?: number
  readonly pids_limit?: number
  readonly healthcheck?: unknown
  readonly restart?: string
}
type Compose = {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { internal?: boolean } | null>>
}

const TEXT = read('docker-compose.yml')
const COMPOSE = parse(TEXT, { merge: true }) as Compose
const SERVICES = Object.entries(COMPOSE.services)
const { gateway, balancer, redis } = COMPOSE.services as Readonly<Record<'gateway' | 'balancer' | 'redis', Service>>

describe('docker-compose.yml', () => {
  it.each(SERVICES)('limits the memory, processor and processes of %s, and assigns its networks', (_, service) => {
    expect(service.mem_limit).toMatch(/^\d+[mg]$/)
    expect(service.cpus).toBeGreaterThan(0)
    expect(service.pids_limit).toBeGreaterThan(0)
    expect(service.networks?.length).toBeGreaterThan(0)
    expect(service.restart).toBe('unless-stopped')
  })

  it('has no service that ends, as "up --wait" would fail with it, and starts the gateway without waiting for others', () => {
    expect(gateway.depends_on).toBeUndefined()
    expect(TEXT).not.toMatch(/service_completed_successfully|on-failure/)
  })

  it('builds each tag once', () => {
    const built = SERVICES.filter(([, { build }]) => build !== undefined).map(([, { image }]) => image)
    expect(new Set(built).size).toBe(built.length)
  })

  it('keeps the stores away from clients, the monolith and the services', () => {
    const on = (network: string) =>
      SERVICES.filter(([, { networks }]) => networks?.includes(network)).map(([name]) => name)
    expect(on('edge').sort()).toEqual(['balancer', 'gateway'])
    expect(on('app').sort()).toEqual(['catalog', 'gateway', 'monolith', 'orders'])
    expect(on('data').sort()).toEqual(['gateway', 'redis'])
    expect(COMPOSE.networks).toMatchObject({ app: { internal: true }, data: { internal: true } })
  })

  it('lets the gateway be scaled: no published port, no fixed name, and a volume for each', () => {
    expect(gateway.ports).toBeUndefined()
    expect(gateway).not.toHaveProperty('container_name')
    expect(gateway.volumes).toEqual(['/app/.strangler'])
    expect(gateway.environment?.STRANGLER_ADMIN_NAMES).toBe('gateway')
    expect(balancer.ports).toEqual(['8080:8080', '127.0.0.1:8081:8081'])
    expect(read('deploy/haproxy.cfg')).toContain('option httpchk GET /readyz')
  })

  it('holds no secret: each is required from .env, and has a line in .env.example', () => {
    const secrets = [...TEXT.matchAll(/\$\{(\w+)([^}]*)\}/g)]
    expect(secrets.length).toBeGreaterThan(5)
    const example = read('.env.example')
    for (const [, name = '', rest = ''] of secrets) {
      expect(rest, name).toMatch(/^:\?/)
      expect(example).toMatch(new RegExp(`^${name}=`, 'm'))
    }
    for (const [name, { environment = {} }] of SERVICES)
      for (const [variable, value] of Object.entries(environment))
        if (/TOKEN|PASSWORD|SECRET|AUTH/.test(variable)) expect(value, `${name}: ${variable}`).toMatch(/^\$\{\w+:\?/)
    expect(gateway.environment?.REDIS_URL).toMatch(/^redis:\/\/:\$\{REDIS_PASSWORD:\?/)
    expect(redis.environment?.REDISCLI_AUTH).toMatch(/^\$\{REDIS_PASSWORD:\?/)
    expect(read('.gitignore').split('\n')).toContain('.env')
  })

  it('gets its secrets from scripts/create-env.sh, which writes another value for each and overwrites nothing', () => {
    const { folder, run } = copyForCompose()
    expect(run('sh', ['scripts/create-env.sh']).status).toBe(0)
    const env = readFileSync(join(folder, '.env'), 'utf8')
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600)
    const values = [...env.matchAll(/^[A-Z_]+=(?:\*:[\w*]+\.)?([0-9a-f]{64})$/gm)].map(([, value]) => value)
    expect(new Set(values).size).toBe(6)
    expect(env.replace(/^#.*$/gm, '')).not.toContain('GENERATE')
    expect(run('sh', ['scripts/create-env.sh'])).toMatchObject({ status: 1 })
    expect(readFileSync(join(folder, '.env'), 'utf8')).toBe(env)
  })

  testWith('docker-compose')('is accepted by docker-compose 1.29, and refused without the secrets', () => {
    const { run } = copyForCompose()
    expect(run('docker-compose', ['config', '-q']).stderr).toContain('run sh scripts/create-env.sh')
    run('sh', ['scripts/create-env.sh'])
    expect(run('docker-compose', ['config', '-q'])).toMatchObject({ status: 0 })
  })

  testWith('haproxy')('has a load balancer whose configuration HAProxy accepts', () => {
    const { status, stderr } = spawnSync('haproxy', ['-c', '-f', join(ROOT, 'deploy/haproxy.cfg')], {
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('WARNING')])
  })
})

describe('the image', () => {
  const dockerfile = read('Dockerfile')

  it('has the command on PATH, its settings in the environment, the licence, and a volume for the state', () => {
    expect(dockerfile).toContain('ln -s /app/bin/strangler.js /usr/local/bin/strangler')
    expect(statSync(join(ROOT, 'bin/strangler.js')).mode & 0o111).toBe(0o111)
    for (const setting of ['STRANGLER_CONFIG', 'STRANGLER_STATE_DIR', 'STRANGLER_HOST', 'STRANGLER_ADMIN_HOST'])
      expect(dockerfile).toMatch(new RegExp(`ENV [\\s\\S]*${setting}=`))
    expect(dockerfile).toMatch(/^COPY .*LICENSE/m)
    expect(read('.dockerignore')).toContain('!LICENSE')
    expect(dockerfile).toContain('VOLUME /app/.strangler')
  })
})

it('every recipe of the documents that runs the image keeps the state folder in a volume', () => {
  const recipes = documents()
    .flatMap(({ text }) => fences(text))
    .filter(({ code }) => /image: strangler-gateway|docker run/.test(code))
  expect(recipes.length).toBeGreaterThan(1)
  for (const { code } of recipes) expect(code).toContain('/app/.strangler')
})

/** A folder with what Compose reads. */
function copyForCompose() {
  const folder = mkdtempSync(join(tmpdir(), 'strangler-compose-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const files = ['docker-compose.yml', '.env.example', 'deploy', 'scripts/create-env.sh']
  for (const file of [...files, 'Dockerfile', 'legacy-monolith/Dockerfile'])
    cpSync(join(ROOT, file), join(folder, file), { recursive: true })
  for (const name of ['catalog', 'orders'])
    cpSync(join(ROOT, `extracted-services/${name}/Dockerfile`), join(folder, `extracted-services/${name}/Dockerfile`))
  const run = (command: string, args: readonly string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' })
  return { folder, run }
}
