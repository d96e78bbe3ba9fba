import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatMistakes } from '../mistake.ts'
import { CLIENT_OPTIONS } from './client-options.ts'
import { readClientEnv, readEnv } from './env.ts'
import { OPTIONS, type OptionFacts } from './option-table.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'strangler-env-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function fileWith(text: string): string {
  const file = join(folder, `secret-${Math.random()}`)
  writeFileSync(file, text)
  return file
}

const SECRETS = Object.entries<OptionFacts>(OPTIONS).filter(([, { isSecret }]) => isSecret)

test('every option that holds a secret may be given by a file', () => {
  expect(SECRETS.map(([, { variable }]) => variable)).toEqual([
    'STRANGLER_ADMIN_TOKEN',
    'REDIS_URL',
    'STRANGLER_COOKIE_SECRET',
    'UNLEASH_API_TOKEN',
    'UNLEASH_ADMIN_TOKEN',
  ])
  expect(CLIENT_OPTIONS.token.isSecret).toBe(true)
})

describe.each(SECRETS)('the secret %s', (name, { variable }) => {
  test.each(['the-secret', 'the-secret\n', 'the-secret\r\n'])('is read from a file that holds %j', (text) => {
    expect(readEnv({ [`${variable}_FILE`]: fileWith(text) })).toEqual({
      written: { [name]: 'the-secret' },
      mistakes: [],
    })
  })

  test('in its variable and in a file is a mistake', () => {
    const { mistakes } = readEnv({ [variable]: 'a', [`${variable}_FILE`]: fileWith('b') })
    expect(formatMistakes(mistakes)).toBe(`${variable}_FILE: is set, and ${variable} as well; set one of them`)
  })

  test('in a file that is missing or empty is a mistake that names the file', () => {
    const missing = readEnv({ [`${variable}_FILE`]: '/no/such/file' }).mistakes
    expect(formatMistakes(missing)).toBe(
      `${variable}_FILE: names a file that does not exist; create it, or correct the path (found "/no/such/file")`,
    )
    expect(formatMistakes(readEnv({ [`${variable}_FILE`]: fileWith('\n') }).mistakes)).toContain('names an empty file')
    expect(formatMistakes(readEnv({ [`${variable}_FILE`]: folder }).mistakes)).toContain('cannot be read (EISDIR)')
  })
})

test('an option that is no secret has no variable for a file', () => {
  expect(readEnv({ STRANGLER_LOG_LEVEL_FILE: fileWith('debug') }).written).toEqual({})
})

test('a command that asks a gateway reads its token, and that of a gateway here, from files', () => {
  const environment = { STRANGLER_TOKEN_FILE: fileWith('mine\n'), STRANGLER_ADMIN_TOKEN_FILE: fileWith('its\n') }
  expect(readClientEnv(environment)).toMatchObject({
    written: { token: 'mine' },
    local: { adminToken: 'its' },
    mistakes: [],
  })
})
