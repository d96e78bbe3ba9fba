// Writes NOTICE: the licence of every package that an installed gateway runs, with its text as the author published it.
// Run it after a change of the dependencies: `npm run notice`. A test compares the file with the lock.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const LICENCE_FILE = /^(?:licen[cs]e|copying)(?:[.-].*)?$/i
const NOTICE_FILE = /^notice(?:[.-].*)?$/i
const RULE = '-'.repeat(80)

type LockEntry = {
  readonly version: string
  readonly dev?: boolean
  readonly link?: boolean
  readonly license?: string
}

/** `path` is the package's folder relative to the root, as the lock names it. */
export type InstalledPackage = { readonly path: string; readonly name: string; readonly version: string }

/** Packages of the lock that are installed with the gateway: development packages are left out. Sorted by path. */
export function installedPackages(lockText: string): readonly InstalledPackage[] {
  const { packages } = JSON.parse(lockText) as { packages: Record<string, LockEntry> }
  return Object.entries(packages)
    .filter(([path, { dev, link }]) => path.startsWith('node_modules/') && !dev && !link)
    .map(([path, { version }]) => ({ path, name: path.replace(/^.*node_modules\//, ''), version }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The line of NOTICE that names a package. */
export function noticeLine({ name, version }: InstalledPackage): string {
  return `  ${name} ${version}`
}

function notice(): string {
  const packagesOf = new Map<string, InstalledPackage[]>()
  for (const installed of installedPackages(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))) {
    const text = licenceText(installed)
    packagesOf.set(text, [...(packagesOf.get(text) ?? []), installed])
  }
  const sections = [...packagesOf].map(([text, packages]) => {
    const names = [...new Set(packages.map(noticeLine))].join('\n')
    return `${RULE}\n${names}\n\n${text}\n`
  })
  return `${HEAD}\n${sections.join('\n')}`
}

const HEAD = `strangler-gateway
Licensed under the Apache License, Version 2.0: see LICENSE.

An installed gateway runs the packages below. Each section names the packages and
gives the licence under which their authors publish them.
`

/** @throws if a package states no licence, so that nobody ships it unnoticed */
function licenceText({ path, name }: InstalledPackage): string {
  const folder = join(ROOT, path)
  const files = readdirSync(folder)
  const read = (pattern: RegExp) =>
    files
      .filter((file) => pattern.test(file))
      .sort()
      .map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim())
  const texts = [...read(LICENCE_FILE), ...read(NOTICE_FILE)]
  if (texts.length > 0) return texts.join('\n\n')
  const { license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    license?: string
    author?: string | { name: string }
  }
  if (license === undefined) throw new Error(`package "${name}" states no licence: replace it, or ask its author`)
  const owner = typeof author === 'object' ? author.name : author
  return `Licence: ${license}. Author: ${owner ?? 'not stated'}. The package contains no licence text.`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(join(ROOT, 'NOTICE'), notice())
