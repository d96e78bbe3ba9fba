// The options of `strangler serve`, with the name that each has on the command line and in the environment.

/** Each option by its name in `Options`: its flag, its variable, its meaning and its default. */
export const OPTIONS = {
  config: {
    flag: '--config',
    variable: 'STRANGLER_CONFIG',
    value: 'FILE',
    meaning: 'the migration map',
    fallback: 'routes.config.ts',
  },
  host: {
    flag: '--host',
    variable: 'STRANGLER_HOST',
    value: 'ADDRESS',
    meaning: 'the address of the listener for clients',
    fallback: '127.0.0.1',
  },
  port: {
    flag: '--port',
    variable: 'STRANGLER_PORT',
    value: 'PORT',
    meaning: 'the port for clients; 0 takes a free one',
    fallback: '8080',
  },
  adminHost: {
    flag: '--admin-host',
    variable: 'STRANGLER_ADMIN_HOST',
    value: 'ADDRESS',
    meaning: 'the address of the listener for health, metrics and the admin API',
    fallback: '127.0.0.1',
  },
  adminPort: {
    flag: '--admin-port',
    variable: 'STRANGLER_ADMIN_PORT',
    value: 'PORT',
    meaning: 'the port of the admin listener; 0 takes a free one',
    fallback: '8081',
  },
  adminNames: {
    flag: '--admin-names',
    variable: 'STRANGLER_ADMIN_NAMES',
    value: 'NAMES',
    meaning: 'host names that the admin listener accepts besides addresses and localhost, separated by commas',
  },
  adminTrustedProxies: {
    flag: '--admin-trusted-proxies',
    variable: 'STRANGLER_ADMIN_TRUSTED_PROXIES',
    value: 'RANGES',
    meaning: 'proxies in front of the admin port whose X-Forwarded-For is trusted, separated by commas',
  },
  metricsToken: {
    variable: 'STRANGLER_METRICS_TOKEN',
    value: 'TEXT',
    meaning: 'the token that a scrape of /metrics must carry; none by default',
  },
  metricsTokenFile: {
    variable: 'STRANGLER_METRICS_TOKEN_FILE',
    value: 'FILE',
    meaning: 'the file that contains this token; read at the start',
  },
  metricsCacheMs: {
    variable: 'STRANGLER_METRICS_CACHE_MS',
    value: 'MILLISECONDS',
    meaning: 'how old the metrics of a scrape may be; 0 collects them for each scrape',
    fallback: '1000',
  },
  adminUrl: {
    variable: 'STRANGLER_ADMIN_URL',
    value: 'URL',
    meaning: 'the address by which the fleet reaches the admin listener; by default its host and port',
  },
  adminToken: {
    variable: 'STRANGLER_ADMIN_TOKEN',
    isSecret: true,
    value: 'TEXT',
    meaning: 'the token of the admin API; the same on every gateway of a fleet',
  },
  adminJwtIssuer: {
    variable: 'STRANGLER_ADMIN_JWT_ISSUER',
    value: 'TEXT',
    meaning: 'the issuer of tokens for the admin API: their iss',
  },
  adminJwtAudience: {
    variable: 'STRANGLER_ADMIN_JWT_AUDIENCE',
    value: 'TEXT',
    meaning: 'the audience of these tokens: their aud',
  },
  adminJwtAlgorithms: {
    variable: 'STRANGLER_ADMIN_JWT_ALGORITHMS',
    value: 'NAMES',
    meaning: 'the algorithms of their signatures, such as RS256, separated by commas',
  },
  adminJwtJwksUri: {
    variable: 'STRANGLER_ADMIN_JWT_JWKS_URI',
    value: 'URL',
    meaning: 'the address of the issuer’s key set',
  },
  adminJwtPublicKey: {
    variable: 'STRANGLER_ADMIN_JWT_PUBLIC_KEY',
    value: 'FILE',
    meaning: 'a file with the issuer’s public key in PEM, instead of a key set',
  },
  adminJwtRoleClaim: {
    variable: 'STRANGLER_ADMIN_JWT_ROLE_CLAIM',
    value: 'NAME',
    meaning: 'the claim that contains the role: viewer, operator or admin',
    fallback: 'role',
  },
  requireReason: {
    variable: 'STRANGLER_REQUIRE_REASON',
    value: 'ON|OFF',
    meaning: 'whether every change needs a reason; on where NODE_ENV is production or CI is set',
    fallback: 'off',
  },
  flags: {
    flag: '--flags',
    variable: 'STRANGLER_FLAGS',
    value: 'FILE',
    meaning: 'the file of the embedded flags',
    fallback: 'flags.json beside the config',
  },
  stateDir: {
    flag: '--state-dir',
    variable: 'STRANGLER_STATE_DIR',
    value: 'FOLDER',
    meaning: 'the folder in which the gateway keeps its state between starts',
    fallback: '.strangler',
  },
  redisUrl: {
    variable: 'REDIS_URL',
    isSecret: true,
    value: 'URL',
    meaning: 'the Redis in which a fleet shares its state: redis://, rediss://, redis+sentinel://, redis+cluster://',
  },
  redisPrefix: {
    variable: 'STRANGLER_REDIS_PREFIX',
    value: 'NAME',
    meaning: 'the prefix of its keys; each fleet has its own',
    fallback: 'strangler',
  },
  name: {
    flag: '--name',
    variable: 'STRANGLER_NAME',
    value: 'NAME',
    meaning: 'the name of this gateway in the fleet; by default an id in the state folder',
  },
  forgetAfter: {
    flag: '--forget-after',
    variable: 'STRANGLER_FORGET_AFTER',
    value: 'DURATION',
    meaning: 'how long a silent gateway remains a member of the fleet; the same on every gateway',
    fallback: '15m',
  },
  accessLog: {
    flag: '--access-log',
    variable: 'STRANGLER_ACCESS_LOG',
    value: 'FILE',
    meaning: 'the access log; - is standard output',
    fallback: '-',
  },
  logLevel: {
    flag: '--log-level',
    variable: 'STRANGLER_LOG_LEVEL',
    value: 'LEVEL',
    meaning: 'the lowest level that is logged',
    fallback: 'info',
  },
  cookieSecret: {
    variable: 'STRANGLER_COOKIE_SECRET',
    isSecret: true,
    value: 'TEXT',
    meaning: 'signs the anonymous id; the same on every gateway',
  },
  unleashUrl: {
    variable: 'UNLEASH_URL',
    value: 'URL',
    meaning: 'the API of an Unleash server, instead of the embedded flags',
  },
  unleashToken: {
    variable: 'UNLEASH_API_TOKEN',
    isSecret: true,
    value: 'TOKEN',
    meaning: 'a backend token of that Unleash',
  },
  unleashAppName: {
    variable: 'UNLEASH_APP_NAME',
    value: 'NAME',
    meaning: 'the name of the gateway in Unleash',
    fallback: 'strangler-gateway',
  },
  unleashEnvironment: {
    variable: 'UNLEASH_ENVIRONMENT',
    value: 'NAME',
    meaning: 'the environment that constraints compare with and flags are changed in; by default that of the token',
  },
  unleashAdminToken: {
    variable: 'UNLEASH_ADMIN_TOKEN',
    isSecret: true,
    value: 'TOKEN',
    meaning: 'an admin token, to change flags in Unleash',
  },
  unleashProject: {
    variable: 'UNLEASH_PROJECT',
    value: 'NAME',
    meaning: 'the Unleash project of the flags',
    fallback: 'default',
  },
  noColor: { variable: 'NO_COLOR', value: 'ANYTHING', meaning: 'no colours in a terminal' },
} as const satisfies Readonly<Record<string, OptionFacts>>

export type OptionFacts = {
  /** On the command line. Secrets have no flag: every user of the machine can read the command line of a process. */
  readonly flag?: string
  readonly variable: string
  /** Whether the variable with the suffix `_FILE` may name a file that contains the value. */
  readonly isSecret?: boolean
  /** The placeholder of the value in the help, such as `PORT`. */
  readonly value: string
  readonly meaning: string
  /** The default. */
  readonly fallback?: string
}

export type OptionName = keyof typeof OPTIONS

/** The options of one source, not yet checked. */
export type RawOptions = { readonly [Name in OptionName]?: string | undefined }
