// A real gateway in this process: a config file and a flags file in a folder of their own, free ports, real sockets.
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RoutesConfig } from '../../src/config/define-routes.ts'
import { mergeOptions } from '../../src/config/options/options.ts'
import { type Gateway, type GatewayOptions, startGateway as start } from '../../src/entry/gateway.ts'
import { whenOver } from './lifetime.ts'
import { until } from './until.ts'

export type TestGateway = Gateway & {
  readonly folder: string
  /** Sets the percentage of flags and resolves once the gateway has read them. */
  readonly setFlags: (percentages: Readonly<Record<string, number>>) => Promise<void>
  /** Replaces the config file, atomically; `until` tells when it was applied. */
  readonly writeConfig: (config: unknown) => Promise<void>
  /** The access log's lines so far. */
  readonly accessLog: () => Promise<AccessLine[]>
  /** The access log's line for one request, waited for: it is written a moment after the answer. */
  readonly accessLine: (matches: (line: AccessLine) => boolean) => Promise<AccessLine>
  readonly metrics: () => Promise<string>
  /** One sample of the metrics, by its full name and labels; 0 if it is not there. */
  readonly metric: (sample: string) => Promise<number>
  readonly readyz: () => Promise<{ status: number; body: Record<string, unknown> }>
}

export type AccessLine = Readonly<Record<string, unknown>>

export type TestGatewayOptions = Partial<GatewayOptions> & {
  readonly percentages?: Readonly<Record<string, number>>
  /** The text of a config module instead of `config`, for what JSON cannot say, such as middleware. */
  readonly configModule?: string
}

/** Starts a gateway that stops by itself when the test is over. Flags not named in `percentages` are unknown. */
export async function startGateway(config: RoutesConfig, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { percentages = {}, configModule, ...rest } = options
  const folder = await mkdtemp(join(tmpdir(), 'strangler-test-'))
  const configFile = join(folder, configModule === undefined ? 'routes.config.json' : 'routes.config.mjs')
  const flagsFile = join(folder, 'flags.json')
  const logFile = join(folder, 'access.log')
  await writeFile(configFile, configModule ?? JSON.stringify({ drain: { noticeMs: 0, limitMs: 5000 }, ...config }))
  await writeFile(flagsFile, flagFile(percentages))
  const gateway = await start({
    ...defaults(configFile),
    port: 0,
    adminPort: 0,
    stateDir: join(folder, 'state'),
    accessLog: logFile,
    logLevel: 'silent',
    // Tests read a metric right after the event that it counts.
    metricsCacheMs: 0,
    ...rest,
  })
  whenOver(async () => {
    await gateway.stop('test')
    await rm(folder, { recursive: true, force: true })
  })

  const accessLog = async () => {
    const text = await readFile(logFile, 'utf8').catch(() => '')
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AccessLine)
  }
  const metrics = async () => (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text()
  const metric = async (sample: string) => {
    const line = (await metrics()).split('\n').find((text) => text.startsWith(`${sample} `))
    return line === undefined ? 0 : Number(line.slice(sample.length + 1))
  }
  const helpers: Omit<TestGateway, keyof Gateway> = {
    folder,
    setFlags: async (next) => {
      const readsBefore = await metric(FLAG_READS)
      await replace(flagsFile, flagFile(next))
      await until(async () => (await metric(FLAG_READS)) > readsBefore)
    },
    writeConfig: (next) =>
      replace(configFile, JSON.stringify({ drain: { noticeMs: 0, limitMs: 5000 }, ...(next as object) })),
    accessLog,
    accessLine: async (matches) => {
      let match: AccessLine | undefined
      await until(async () => {
        match = (await accessLog()).find(matches)
        return match !== undefined
      })
      return match as AccessLine
    },
    metrics,
    metric,
    readyz: async () => {
      const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    },
  }
  return Object.assign(gateway, helpers)
}

const FLAG_READS = 'strangler_flag_reads_total'

/** Flags in Unleash's client-features format, each one gradual rollout. */
export function flagFile(percentages: Readonly<Record<string, number>>): string {
  return JSON.stringify({
    version: 2,
    features: Object.entries(percentages).map(([name, percent]) => ({
      name,
      type: 'release',
      enabled: true,
      strategies: [
        {
          name: 'flexibleRollout',
          parameters: { rollout: String(percent), stickiness: 'default', groupId: name },
          constraints: [],
        },
      ],
      variants: [],
    })),
  })
}

function defaults(config: string): GatewayOptions {
  const merged = mergeOptions({ config }, {})
  if (!merged.ok) throw new Error('the defaults are not valid')
  return merged.options
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.next`, text)
  await rename(`${file}.next`, file)
}
