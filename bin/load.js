// Which tree runs: the TypeScript source in a checkout, its compiled twin where the gateway is installed as a
// dependency, because Node refuses to strip types from files under node_modules.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** Synchronous, so that an application written in CommonJS can `require` the gateway too. */
export function load(name) {
  const isInstalled = import.meta.url.includes('/node_modules/')
  return require(isInstalled ? `../dist/${name}.js` : `../src/${name}.ts`)
}
