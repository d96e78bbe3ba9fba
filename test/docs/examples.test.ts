// Runs the examples of the documents, and compares their tables with the code.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OPTIONS, type OptionFacts } from '../../src/config/options/option-table.ts'
import { validate } from '../../src/config/schema/validate.ts'
import { parseFlagFile } from '../../src/control/flags/embedded/flag-file.ts'
import { REASONS } from '../../src/model/decision.ts'
import { FAILURES } from '../../src/model/failures.ts'
import { startGateway } from '../kit/gateway.ts'
import { freePort, startNamedOrigin } from '../kit/origin.ts'
import { runStrangler, STRANGLER } from '../kit/process.ts'
import { exchange } from '../kit/raw.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'
import {
  anchors,
  codes,
  documents,
  fences,
  headings,
  lines,
  ROOT,
  read,
  relativeLinks,
  section,
  table,
  withoutFences,
} from './markdown.ts'
import { output, startDemoShop, textOf } from './shop.ts'

const CONFIGURATION = read('docs/configuration.md')
const OBSERVABILITY = read('docs/observability.md')

/** Commands that need no gateway. operating.test.ts and the test of the first ten minutes run the others. */
const ALONE = /^(?:npx )?strangler ((?:check|serve|explain)\b.*)$/
/** The side of the reasons that do not always mean legacy. */
const SIDE_OF: Readonly<Record<string, string>> = { 'flag-on': 'service', pinned: 'either' }
/** Results that `npm run bench -- --save` and `npm run bench:parity -- --save` write. */
const WRITTEN_BY_A_RUN = new Set(['bench/RESULTS.md', 'bench/parity/RESULTS.md'])

const examples = documents().flatMap(({ path, text }) =>
  fences(text).map(({ language, code }, index) => ({
    path,
    language,
    code,
    name: `${path.replaceAll(/\W/g, '-')}-${index}`,
  })),
)

describe('demo-traffic', () => {
  const script = join(ROOT, 'scripts/demo-traffic.ts')
  const ran = (...args: string[]) => {
    const env = { ...process.env, STRANGLER_PORT: '18080' }
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { env, encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  const usage = expect.stringMatching(/^npm run demo:traffic -- \[--url http:\/\/127\.0\.0\.1:18080\] .+\n$/)

  it('prints its usage in one sentence', () => {
    expect(ran('--help')).toEqual({ status: 0, stdout: usage, stderr: '' })
    for (const args of [['--nope'], ['--rate', '0'], ['--seconds', 'x'], ['--url', 'x'], ['more']]) {
      expect(ran(...args), args.join(' ')).toEqual({ status: 2, stdout: '', stderr: usage })
    }
  })
})

describe('every document', () => {
  it('links only to files and headings that exist', () => {
    const broken = documents().flatMap(({ path, text }) =>
      relativeLinks(text).flatMap((link) => {
        const [file = '', anchor] = link.split('#')
        const target = file === '' ? path : join(dirname(path), file)
        if (WRITTEN_BY_A_RUN.has(target)) return []
        if (!existsSync(join(ROOT, target))) return [`${path}: ${link}`]
        if (anchor === undefined || anchors(read(target)).includes(anchor)) return []
        return [`${path}: ${link} (no such heading)`]
      }),
    )
    expect(broken).toEqual([])
  })

  it('contains only npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = documents().flatMap(({ text }) =>
      [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test|pack)\b)/g)].map(([, run, verb]) => run ?? verb ?? ''),
    )
    expect(named).toContain('start')
    expect([...new Set(named)].filter((script) => script !== 'pack' && !(script in scripts))).toEqual([])
  })

  it('contains only commands of strangler that exist', async () => {
    const { stdout } = await runStrangler(['help'])
    const named = documents().flatMap(({ text }) =>
      [...text.matchAll(/`(?:npx )?strangler ([a-z]+)/g)].map(([, command = '']) => command),
    )
    expect(named).toContain('explain')
    for (const command of new Set(named)) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })
})

describe('the README', () => {
  it('links to decide.ts and shows the command of CI', () => {
    expect(relativeLinks(read('README.md'))).toContain('src/proxy/policy/decide.ts')
    expect(read('README.md')).toContain('npm ci && npm test')
    expect(read('.ci/run')).toContain('npm ci && npm test')
  })

  it.skipIf(spawnSync('curl', ['--version']).status !== 0)(
    'shows ten minutes whose commands print the shown output, line by line',
    async () => {
      const demo = await startDemoShop()
      onTestFinished(demo.stop)
      const blocks = fences(section(read('README.md'), 'The first ten minutes'))
      expect(blocks.length).toBeGreaterThan(10)
      for (const [index, { language, code }] of blocks.entries()) {
        if (language !== 'sh') continue
        const readsBefore = await demo.flagReads()
        const next = blocks[index + 1]
        if (code.includes('strangler diffs')) {
          // The gateway writes comparisons once a second; their number differs from run to run.
          const isShown = async () => figuresAside(await demo.run(code)) === figuresAside(next?.code ?? '')
          // The test makes half of the minute's visits. If a busy machine sheds too many copies, it makes the other half too.
          await until(isShown, 10_000).catch(async () => {
            await demo.run('npm run demo:traffic')
            await until(isShown, 30_000)
          })
          continue
        }
        const printed = await demo.run(code)
        if (code.includes('flags.json')) await until(async () => (await demo.flagReads()) > readsBefore)
        if (next?.language === 'text') expect(lines(printed)).toEqual(lines(next.code))
      }
    },
    120_000,
  )
})

function figuresAside(text: string): string {
  return (
    lines(text)
      // A date precedes the time if the comparisons began on an earlier day.
      .map((line) => line.replace(/since \d{4}-\d\d-\d\d /, 'since ').replace(/\d[\d.,:–-]*/g, 'N'))
      .join('\n')
  )
}

describe('the examples', () => {
  it('in TypeScript pass the type check, and their maps are valid', async () => {
    const project = await someProject()
    const typed = examples.filter(({ language }) => language === 'ts')
    expect(typed.length).toBeGreaterThan(3)
    for (const { name, code } of typed) await writeFile(join(project, `${name}.ts`), code)
    const files = typed.map(({ name }) => `${name}.ts`)
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(tsconfig(files)))
    await output(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--project', project], project)

    const maps = typed.filter(({ code }) => code.includes('defineRoutes('))
    expect(maps.length).toBeGreaterThan(2)
    for (const { name } of maps) {
      const { code, stdout, stderr } = await runStrangler(['check', '--config', `${name}.ts`], { cwd: project })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('is valid')
    }
  }, 60_000)

  it('in JSON parse, and their flags are valid', () => {
    const json = examples.filter(({ language }) => language === 'json')
    const flags = json.filter(({ code }) => code.includes('"features"'))
    expect(flags.length).toBeGreaterThan(1)
    for (const { code } of json) JSON.parse(code)
    for (const { path, code } of flags) expect(parseFlagFile(path, code).features.length).toBeGreaterThan(0)
  })

  it('of commands that need no gateway run', async () => {
    const commands = examples
      .filter(({ language }) => language === 'sh')
      .flatMap(({ code }) => code.split('\n'))
      .flatMap((line) => ALONE.exec(line)?.[1] ?? [])
    expect(commands.length).toBeGreaterThan(5)
    for (const command of new Set(commands)) {
      const args = command.split(' ')
      if (args[0] === 'serve') await serves(args)
      else expect(await runStrangler(args, { cwd: ROOT })).toMatchObject({ code: 0, stderr: '' })
    }
  }, 60_000)
})

describe('docs/configuration.md', () => {
  const types = [...read('src/config/define-routes.ts').matchAll(/^export type (\w+) = \{\n([\s\S]*?)^\}/gm)].map(
    ([, type = '', body = '']) => ({
      type,
      keys: [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, key]) => key),
      defaults: new Map(
        [...body.matchAll(/^ {2}\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2}readonly (\w+)\??:/gm)].map(
          ([, docstring = '', key = '']) => [key, /Default: `?([\w.-]+?)[`,.]*(?:\s|$)/.exec(docstring)?.[1]],
        ),
      ),
    }),
  )

  it('has every key of the map, and no other', () => {
    expect(types.length).toBeGreaterThan(12)
    for (const { type, keys } of types) {
      const documented = table(CONFIGURATION, `(\`${type}\`)`).map(([key]) => codes(key)[0])
      expect(documented.sort(), type).toEqual(keys.sort())
    }
  })

  it('has every comparison rule, and no other', () => {
    const [, body = ''] = /^export type Rules = \{\n([\s\S]*?)^\}/m.exec(read('src/model/comparison-rules.ts')) ?? []
    const rules = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, key]) => key)
    const documented = table(CONFIGURATION, '(`Rules`)').map(([key]) => codes(key)[0])
    expect(documented).toEqual(rules)
  })

  it('has the defaults that validate fills in, and so have the docstrings of define-routes.ts', () => {
    for (const [type, filled] of Object.entries(filledIn())) {
      const documented = new Map(
        table(CONFIGURATION, `(\`${type}\`)`).map((cells) => [codes(cells[0])[0], cells.at(-1)]),
      )
      const docstrings = types.find((candidate) => candidate.type === type)?.defaults
      for (const [key, value] of Object.entries(filled)) {
        const written = /^`([^`]+)`/.exec(documented.get(key) ?? '')?.[1] ?? 'nothing in backticks'
        // The map has 0 for no limit; `validate` replaces it with a number that is never reached.
        const expected = value === Number.MAX_SAFE_INTEGER ? 0 : value
        expect(written, `${type}.${key}`).toBe(JSON.stringify(expected))
        expect(docstrings?.get(key), `the docstring of ${type}.${key}`).toBe(String(expected))
      }
    }
  })

  it('has every option with its variable and its default', () => {
    const documented = table(CONFIGURATION, 'Options').map(([flag, variable, , fallback]) => {
      return { flag: codes(flag)[0], variable: codes(variable)[0], fallback: fallback?.replaceAll('`', '') }
    })
    for (const { flag, variable, fallback } of Object.values<OptionFacts>(OPTIONS)) {
      const row = documented.find((option) => option.variable === variable)
      expect(row?.flag, variable).toBe(flag)
      if (fallback !== undefined) expect(row?.fallback, variable).toBe(fallback)
    }
    const variables = Object.values(OPTIONS).map(({ variable }) => variable as string)
    expect(documented.filter(({ variable }) => !variables.includes(variable ?? ''))).toEqual([])
  })
})

describe('docs/observability.md', () => {
  it('has every field of the access log, and no other', () => {
    const source = read('src/telemetry/log/access-line.ts')
    const written = new Set(['level', ...[...source.matchAll(/"(\w+)":/g)].map(([, field = '']) => field)])
    const documented = table(OBSERVABILITY, 'The access log').map(([field]) => codes(field)[0])
    expect(documented.sort()).toEqual([...written].sort())
  })

  it('has every metric with its type and labels, and no other', async () => {
    const legacy = await startNamedOrigin('legacy')
    const nobody = `http://127.0.0.1:${await freePort()}`
    const gateway = await startGateway(shop({ legacy: legacy.url, service: nobody }), TO_SERVICE)
    await (await fetch(`http://127.0.0.1:${gateway.port}/products`)).text()
    await exchange(gateway.port, 'GET / HTTP/1.1\r\n\r\n')
    await gateway.setFlags({})
    await (await fetch(`http://127.0.0.1:${gateway.port}/products`)).text()
    await gateway.accessLine(({ reason }) => reason === 'flag-missing')

    const text = await gateway.metrics()
    const types = new Map([...text.matchAll(/^# TYPE (strangler_\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]))
    const documented = new Map(table(OBSERVABILITY, 'Metrics').map(([name, ...rest]) => [codes(name)[0], rest]))
    expect([...documented.keys()].sort()).toEqual([...types.keys()].sort())
    for (const [name, [type, labels]] of documented) {
      expect(types.get(name), name).toBe(type)
      const seen = labelsOf(text, name ?? '')
      if (seen !== undefined) expect(seen, name).toEqual(codes(labels).sort())
    }
    for (const seldom of ['strangler_fallbacks_total', 'strangler_refusals_total', 'strangler_flag_missing_total']) {
      expect(labelsOf(text, seldom), seldom).toBeDefined()
    }
  })

  it('has every reason and every failure, with side, status and blame', () => {
    const reasons = table(OBSERVABILITY, 'Reasons').map(([reason, side]) => [codes(reason)[0], codes(side)[0] ?? side])
    const sides = Object.keys(REASONS).map((reason) => [reason, SIDE_OF[reason] ?? 'legacy'])
    expect(reasons).toEqual(sides)
    const failures = table(OBSERVABILITY, 'Failures').map(([name, status, blame]) => [codes(name)[0], status, blame])
    expect(failures).toEqual(Object.entries(FAILURES).map(([name, { status, blame }]) => [name, `${status}`, blame]))
  })

  it('quotes only messages of the application log that the code contains', () => {
    const source = telemetrySource()
    const quoted = table(OBSERVABILITY, 'The application log').flatMap(([, message]) => codes(message))
    expect(quoted.length).toBeGreaterThan(20)
    const parts = quoted.flatMap((message) => message.split('…')).filter((part) => part.length > 1)
    expect(parts.filter((part) => !source.includes(part))).toEqual([])
  })

  it('shows the body of /readyz', async () => {
    const legacy = await startNamedOrigin('legacy')
    const gateway = await startGateway(shop({ legacy: legacy.url, service: legacy.url }))
    const [shown] = fences(section(OBSERVABILITY, 'Health'))
    expect((await gateway.readyz()).body).toEqual(JSON.parse(shown?.code ?? ''))
  })
})

describe('docs/life-of-a-request.md', () => {
  it('has the steps of handle-request.ts in their order', () => {
    const source = read('src/proxy/handle-request.ts')
    const body = /async function handleRequest[\s\S]*?\n {2}\}\n/.exec(source)?.[0] ?? ''
    const calls = [...body.matchAll(/\b(?:plane\.(?:events\.)?)?([a-z]\w+)\(/g)].map(([, call = '']) => call)
    const aside = new Set(['handleRequest', 'now', 'if', 'rawHead', 'refuse'])
    const steps = [...new Set(calls)].filter((call) => !aside.has(call))
    const documented = headings(read('docs/life-of-a-request.md')).filter((title) => /^\d+\. /.test(title))
    expect(steps.length).toBeGreaterThan(8)
    expect(documented.flatMap(codes)).toEqual(steps)
  })
})

describe('docs/architecture.md', () => {
  it('has the import table that test/architecture.test.ts asserts', () => {
    const source = /MAY_IMPORT[^=]*= \{\n([\s\S]*?)^\}/m.exec(read('test/architecture.test.ts'))?.[1] ?? ''
    const asserted = [...source.matchAll(/^ {2}'?([\w.-]+)'?: \[([^\]]*)\]/gm)].map(([, from, modules = '']) => {
      return [from, [...modules.matchAll(/'([^']+)'/g)].map(([, module]) => module)]
    })
    const documented = table(read('docs/architecture.md'), 'Import table').map(([from, modules]) => {
      return [codes(from)[0], codes(modules)]
    })
    expect(asserted.length).toBeGreaterThan(8)
    expect(documented).toEqual(asserted)
  })
})

describe('CONTEXT.md', () => {
  it('defines the words of the decision and the exchange', () => {
    const words = withoutFences(read('CONTEXT.md')).toLowerCase()
    for (const word of [
      'context',
      'route',
      'side',
      'upstream',
      'flag',
      'decision',
      'reason',
      'outcome',
      'failure',
      'snapshot',
    ]) {
      expect(words).toMatch(new RegExp(`\\*\\*${word}\\*\\*`))
    }
  })
})

/** A project of a user, with the gateway and its libraries installed. */
async function someProject(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-project-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const modules = join(folder, 'node_modules')
  await mkdir(modules)
  const installed = (await readdir(join(ROOT, 'node_modules'))).filter((name) => !name.startsWith('.'))
  await Promise.all(installed.map((name) => symlink(join(ROOT, 'node_modules', name), join(modules, name))))
  await symlink(ROOT, join(modules, 'strangler-gateway'))
  return folder
}

function tsconfig(files: readonly string[]) {
  return {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      paths: {
        'strangler-gateway': [join(ROOT, 'src/index.ts')],
        'strangler-gateway/express': [join(ROOT, 'src/express.ts')],
      },
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    include: [],
    files,
  }
}

/** Starts the gateway with the arguments of the command, on free ports, and stops it when it listens. */
async function serves(args: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-serve-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const ours = args.map((arg) => arg.replace('/var/log/strangler', folder))
  const child = spawn(process.execPath, [STRANGLER, ...ours, '--port=0', '--admin-port=0', '--state-dir', folder], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const log = textOf(child.stderr)
  const exited = new Promise((resolve) => child.once('close', resolve))
  await until(() => child.exitCode !== null || /gateway listens on/.test(log()))
  child.kill('SIGINT')
  expect(await exited, log()).toBe(0)
}

/** All code of src/telemetry, in which every event has its message. */
function telemetrySource(): string {
  const entries = readdirSync(join(ROOT, 'src/telemetry'), { recursive: true, withFileTypes: true })
  const files = entries.filter(({ name }) => name.endsWith('.ts') && !name.includes('.test'))
  return files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8')).join('\n')
}

/** The defaults that `validate` fills into a minimal map, by the types of define-routes.ts. */
function filledIn(): Record<string, object> {
  const upstream = { url: 'https://127.0.0.1:3001', tls: {}, health: { path: '/' } }
  const jwt = { issuer: 'a', audience: 'a', algorithms: ['RS256'], jwksUri: 'https://a.example/' }
  const validated = validate({
    legacy: { url: 'http://127.0.0.1:3000' },
    services: { a: upstream },
    contexts: { a: { owner: 'a', service: 'a', flag: 'a', routes: [{ path: '/a' }], auth: { jwt } } },
  })
  if (!validated.ok) throw new Error(JSON.stringify(validated.mistakes))
  const { legacy, services, contexts, identity, limits, retries, ejection, drain, shadowing, matching } =
    validated.config
  const { connections, queue, reuse, keepAliveMs, allowEncodedSlashes, timeouts } = legacy
  const { path: _path, ...health } = services.get('a')?.health ?? {}
  const context = contexts.get('a')
  const { noise = {}, compare: _compare, showOnly: _showOnly, ...shadow } = context?.routes[0]?.shadow ?? {}
  return {
    UpstreamConfig: { connections, queue, reuse, keepAliveMs, allowEncodedSlashes },
    TimeoutsConfig: timeouts,
    HealthConfig: health,
    TlsConfig: { rejectUnauthorized: services.get('a')?.tls?.rejectUnauthorized },
    ContextConfig: { fallback: context?.fallback },
    RouteConfig: { upgrade: context?.routes[0]?.upgrade },
    ShadowConfig: shadow,
    NoiseConfig: noise,
    AuthConfig: { optional: context?.routes[0]?.auth?.optional },
    JwtConfig: { clockToleranceSeconds: context?.routes[0]?.auth?.clockToleranceSeconds },
    IdentityConfig: { anonymous: identity.anonymous },
    LimitsConfig: limits,
    RetriesConfig: retries,
    EjectionConfig: ejection,
    ShadowingConfig: shadowing,
    DrainConfig: drain,
    MatchingConfig: matching,
  }
}

/** The labels of a metric's first sample, without those of its type; undefined if it has no sample. */
function labelsOf(text: string, name: string): string[] | undefined {
  const sample = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? [^ ]+$`, 'm').exec(text)
  if (sample === null) return undefined
  return [...(sample[1] ?? '').matchAll(/(\w+)="/g)].map(([, label = '']) => label).sort()
}
