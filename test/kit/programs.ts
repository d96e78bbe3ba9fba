// Real programs of other authors (HAProxy, nginx, curl, Java) as clients and load balancers of the gateway.
// `scripts/install-test-programs.sh` installs them from Debian.
import { spawnSync } from 'node:child_process'
import { test } from 'vitest'

/**
 * The `test` function of a test that needs these programs. On a machine without one of them the test is skipped; where
 * `CI` is set it runs and fails, so that CI never passes without the real program.
 *
 * @param executables names on `PATH`, such as `haproxy`
 */
export function testWith(...executables: readonly string[]): typeof test {
  const missing = executables.filter((executable) => !isOnPath(executable))
  if (missing.length === 0 || process.env.CI) return test
  return test.skip as typeof test
}

function isOnPath(executable: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${executable}`]).status === 0
}
