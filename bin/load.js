// Which tree runs: the TypeScript source in a checkout, its compiled twin where the gateway is installed as a
// dependency, because Node refuses to strip types from files under node_modules.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** The oldest major version of Node that runs the gateway. */
export const OLDEST = 24

/** Synchronous, so that an application written in CommonJS can `require` the gateway too. */
export function load(name) {
  if (Number(process.versions.node.split('.')[0]) < OLDEST) {
    throw Object.assign(new Error(tooOld()), { code: 'ERR_STRANGLER_NODE_TOO_OLD' })
  }
  const isInstalled = import.meta.url.includes('/node_modules/')
  return require(isInstalled ? `../dist/${name}.js` : `../src/${name}.ts`)
}

/** The sentence for a Node that is too old. */
export function tooOld() {
  return `strangler-gateway needs Node ${OLDEST} or newer and this is ${process.version}: install it from https://nodejs.org, or add it to your project with "npm install --save-dev node@${OLDEST}".`
}
