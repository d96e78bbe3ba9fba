// The connection to an Unleash server.
import type { ReportMistake } from '../mistake.ts'
import { OPTIONS } from './option-table.ts'
import { checkToken, type OptionLookup, type OptionValue, readText, showAddress } from './read-option.ts'

export type UnleashOptions = {
  /** The API's address, such as `https://unleash.example.com/api`. */
  readonly url: string
  readonly token: string
  readonly appName: string
  /** The environment that constraints compare with and flags are changed in; undefined for the environment of the token. */
  readonly environment: string | undefined
  /** The admin token that changes flags; undefined where the gateway only reads them. */
  readonly adminToken: string | undefined
  /** The project in which flags are changed, and created if they are missing. */
  readonly project: string
}

/** Undefined where no option of Unleash is set: the gateway then uses its embedded flags. */
export function readUnleash(lookUp: OptionLookup, report: ReportMistake): UnleashOptions | undefined {
  const [url, token, adminToken] = [lookUp('unleashUrl'), lookUp('unleashToken'), lookUp('unleashAdminToken')]
  const written = [url, token, adminToken].find(({ isWritten }) => isWritten)
  if (written === undefined) return undefined
  for (const { name, isWritten } of [url, token])
    if (!isWritten)
      report({ path: name, found: '', message: `is missing, as ${written.name} is set; write both or neither` })
  if (url.isWritten) checkUnleashUrl(url, report)
  for (const secret of [token, adminToken]) checkToken(secret, report)
  const environment = lookUp('unleashEnvironment')
  return {
    url: url.value,
    token: token.value,
    appName: readText(lookUp('unleashAppName'), report),
    environment: environment.isWritten ? readText(environment, report) : undefined,
    adminToken: adminToken.isWritten ? adminToken.value : undefined,
    project: readText(lookUp('unleashProject'), report),
  }
}

function checkUnleashUrl({ value, name }: OptionValue, report: ReportMistake): void {
  const url = URL.parse(value)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    report({
      path: name,
      found: showAddress(value),
      message: 'must be the API’s address, such as "https://unleash.example.com/api"',
    })
  } else if (url.username !== '' || url.password !== '') {
    report({
      path: name,
      found: 'not shown',
      message: `must have no user and password; the token belongs in ${OPTIONS.unleashToken.variable}`,
    })
  }
}
