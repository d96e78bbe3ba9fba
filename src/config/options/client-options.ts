// How a running gateway is asked, by commands that are not the gateway: what the command line and the environment say.
import type { OptionFacts } from './option-table.ts'

export const CLIENT_OPTIONS = {
  url: {
    flag: '--url',
    variable: 'STRANGLER_URL',
    value: 'URL',
    meaning: 'the admin port of a gateway',
    fallback: 'http://127.0.0.1:8081',
  },
  token: {
    flag: '--token',
    variable: 'STRANGLER_TOKEN',
    isSecret: true,
    value: 'TOKEN',
    meaning: 'who asks; "ps" shows it to everybody on this machine: prefer the variable',
    fallback: '.strangler/admin-token, for a gateway here',
  },
  profile: {
    flag: '--profile',
    variable: 'STRANGLER_PROFILE',
    value: 'NAME',
    meaning: 'URL and token by a name in ~/.config/strangler/profiles.json',
    fallback: 'its "default", if it has one',
  },
  ci: { variable: 'CI', value: 'true', meaning: 'nobody is at the keyboard: every change needs a --reason' },
} as const satisfies Readonly<Record<string, OptionFacts>>

/** What one source says, by name; unchecked. */
export type WrittenClientOptions = { readonly [Name in keyof typeof CLIENT_OPTIONS]?: string | undefined }
