import { parseArgs } from 'node:util'
import { FAMILY_NAMES, type FamilyName } from './families.ts'

export const USAGE = `Usage: npm run bench:parity -- [options]

  --seeds N       seeds of each family (20)
  --only a,b      only these of: ${FAMILY_NAMES.join(', ')}
  --save          write the report to bench/parity/RESULTS.md
  --help`

export type Options = {
  readonly seeds: number
  readonly families: readonly FamilyName[]
  readonly save: boolean
  readonly help: boolean
}

/** Throws an error whose message is for the person who typed the command. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '20' },
      only: { type: 'string', default: FAMILY_NAMES.join(',') },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (!/^[1-9]\d*$/.test(values.seeds)) throw new Error(`--seeds "${values.seeds}" is not a whole number above 0`)
  const names = values.only.split(',')
  const families = FAMILY_NAMES.filter((name) => names.includes(name))
  if (families.length < names.length) throw new Error(`--only "${values.only}": there is ${FAMILY_NAMES.join(', ')}`)
  return { seeds: Number(values.seeds), families, save: values.save, help: values.help }
}
