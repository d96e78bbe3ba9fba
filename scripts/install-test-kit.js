// Installs the packages of test/kit/ that are no dependencies of the product, unless they are as their lock wants them.
// Run by `npm test` and `npm run unleash`. Plain JavaScript that an older Node reads too: it comes before everything.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGES = ['../test/kit/unleash/']
const ABANDONED_MS = 3_600_000

for (const path of PACKAGES) {
  try {
    install(fileURLToPath(new URL(path, import.meta.url)))
  } catch (error) {
    console.error(`the test kit in ${path.slice(3)} cannot be installed: ${error.message}`)
    process.exit(1)
  }
}

/** Beside the place and then put there by one rename: two at once do the work twice, and neither sees half of it. */
function install(folder) {
  const wanted = fingerprint(folder)
  const place = join(folder, 'node_modules')
  if (installed(place) === wanted) return
  console.log(`installing ${basename(folder)} for the tests (once for each change of its lock)`)
  removeAbandoned(folder)
  const apart = mkdtempSync(join(folder, '.installing-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) cpSync(join(folder, file), join(apart, file))
    npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], apart)
    writeFileSync(join(apart, 'node_modules', '.installed'), wanted)
    if (existsSync(place) && installed(place) !== wanted) renameSync(place, join(apart, 'replaced'))
    if (installed(place) !== wanted) putInPlace(join(apart, 'node_modules'), place, wanted)
  } finally {
    rmSync(apart, { recursive: true, force: true })
  }
}

function putInPlace(from, place, wanted) {
  try {
    renameSync(from, place)
  } catch (error) {
    // Another run was quicker, with the same packages.
    if (installed(place) !== wanted) throw error
  }
}

/** A hash of the lock file and the platform, which identifies the installed packages. */
function fingerprint(folder) {
  const hash = createHash('sha256')
  for (const file of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(folder, file)))
  return hash.update(`${process.platform} ${process.arch}`).digest('hex')
}

function installed(place) {
  try {
    return readFileSync(join(place, '.installed'), 'utf8')
  } catch {
    return undefined
  }
}

function removeAbandoned(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (name.startsWith('.installing-') && Date.now() - statSync(path).mtimeMs > ABANDONED_MS)
      rmSync(path, { recursive: true, force: true })
  }
}

function npm(args, cwd) {
  // npm's own settings for the run around us, its --prefix for one, are not meant for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'npm_config_local_prefix'))
  const { npm_execpath: npmScript } = process.env
  if (npmScript?.endsWith('.js')) execFileSync(process.execPath, [npmScript, ...args], { cwd, env, stdio: 'inherit' })
  else execFileSync('npm', args, { cwd, env, stdio: 'inherit', shell: process.platform === 'win32' })
}
