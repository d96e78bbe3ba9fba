// Loads the TypeScript source in a checkout, and the compiled files in an installed package: Node does not strip types from files
// under node_modules.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** The oldest major version of Node that runs the gateway. */
export const OLDEST = 24

/** Loads a module synchronously, so that CommonJS applications can `require` the gateway. */
export function load(name) {
  if (Number(process.versions.node.split('.')[0]) < OLDEST) {
    throw Object.assign(new Error(tooOld()), { code: 'ERR_STRANGLER_NODE_TOO_OLD' })
  }
  const isInstalled = import.meta.url.includes('/node_modules/')
  return require(isInstalled ? `../dist/${name}.js` : `../src/${name}.ts`)
}

/** The message for a version of Node that is too old. */
export function tooOld() {
  return `strangler-gateway needs Node ${OLDEST} or newer and this is ${process.version}: install it from https://nodejs.org, or add it to your project with "npm install --save-dev node@${OLDEST}".`
}
