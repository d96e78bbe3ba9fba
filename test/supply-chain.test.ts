// The lock files name every installed package with its digest, and NOTICE states every licence.
import { readFileSync, realpathSync } from 'node:fs'
import { expect, test } from 'vitest'
import { installedPackages, noticeLine } from '../scripts/write-notice.ts'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

type LockEntry = { readonly integrity?: string; readonly link?: boolean; readonly hasInstallScript?: boolean }
const packagesOf = (lock: string) =>
  Object.entries((JSON.parse(read(lock)) as { packages: Record<string, LockEntry> }).packages).filter(([path]) =>
    path.startsWith('node_modules/'),
  )

const LOCKS = [
  'package-lock.json',
  'legacy-monolith/package-lock.json',
  'extracted-services/catalog/package-lock.json',
  'extracted-services/orders/package-lock.json',
  'test/kit/unleash/package-lock.json',
]

for (const lock of LOCKS)
  test(`every package of ${lock} has a SHA-512 digest, optional packages of other platforms included`, () => {
    const packages = packagesOf(lock)
    expect(packages.length).toBeGreaterThan(0)
    const without = packages.filter(([, { integrity, link }]) => !link && !integrity?.startsWith('sha512-'))
    expect(without.map(([path]) => path)).toEqual([])
  })

test('npm ci runs no install script of any package', () => {
  const withScript = packagesOf('package-lock.json').filter(([, { hasInstallScript }]) => hasInstallScript)
  expect(withScript.map(([path]) => path)).toEqual([])
})

test('the Node runtime that npm ci installs is a package of the lock with a digest', () => {
  const runtime = realpathSync(new URL('../node_modules/.bin/node', import.meta.url))
  const [, name] = /node_modules\/(node-[a-z0-9-]+)\/bin\/node/.exec(runtime.replaceAll('\\', '/')) ?? []
  const entry = packagesOf('package-lock.json').find(([path]) => path === `node_modules/${name}`)
  expect(entry?.[1].integrity).toMatch(/^sha512-/)
})

test('NOTICE names every package that is installed with the gateway', () => {
  const notice = new Set(read('NOTICE').split('\n'))
  const packages = installedPackages(read('package-lock.json'))
  expect(packages.length).toBeGreaterThan(50)
  expect(packages.map(noticeLine).filter((line) => !notice.has(line))).toEqual([])
})
