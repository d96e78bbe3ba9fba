// The package of the previous version, packed by `npm pack`, for tests of a rolling upgrade. It runs with the dependencies of this
// checkout.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGE = fileURLToPath(new URL('./previous/strangler-gateway-0.1.0.tgz', import.meta.url))
/** Below a `node_modules`, because the package runs its compiled files only there. */
const FOLDER = fileURLToPath(new URL('../../node_modules/.previous/node_modules', import.meta.url))

/**
 * Unpacks the package once.
 *
 * @returns the path of its command, `bin/strangler.js`
 */
export function previousStrangler(): string {
  const place = join(FOLDER, 'strangler-gateway')
  if (!existsSync(place)) unpack(place)
  return join(place, 'bin/strangler.js')
}

function unpack(place: string): void {
  mkdirSync(FOLDER, { recursive: true })
  const temporary = mkdtempSync(join(FOLDER, '.unpacking-'))
  const { status, stderr } = spawnSync('tar', ['-xzf', PACKAGE, '-C', temporary], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`cannot unpack ${PACKAGE}: ${stderr}`)
  try {
    renameSync(join(temporary, 'package'), place)
  } catch (error) {
    // Another test file has unpacked the same package meanwhile.
    if (!existsSync(place)) throw error
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}
