// The compiled twin of src/ for the published package: Node strips no types from files under node_modules.
// Run by `npm pack` and `npm publish`; nothing in a checkout needs it.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'

const root = new URL('..', import.meta.url)
rmSync(new URL('dist', root), { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
