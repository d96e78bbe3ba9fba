// The smallest migration: one context, `catalog`, moved by `migrate-catalog` from legacy to one service.
import type { RoutesConfig, UpstreamConfig } from '../../src/config/define-routes.ts'

export type Shop = {
  readonly legacy: string | UpstreamConfig
  readonly service: string | UpstreamConfig
  /** Further keys of the config, which override the others. */
  readonly with?: Partial<RoutesConfig>
  readonly fallback?: 'reads' | 'all' | boolean
}

export function shop({ legacy, service, fallback = 'reads', with: more = {} }: Shop): RoutesConfig {
  return {
    legacy: typeof legacy === 'string' ? { url: legacy } : legacy,
    services: { catalog: typeof service === 'string' ? { url: service } : service },
    contexts: {
      catalog: {
        owner: 'team-catalog',
        service: 'catalog',
        flag: 'migrate-catalog',
        routes: ['/products', '/products/*'],
        fallback,
      },
    },
    identity: { session: { cookie: 'sid' }, anonymous: 'ip' },
    ...more,
  }
}

export const TO_SERVICE = { percentages: { 'migrate-catalog': 100 } }
