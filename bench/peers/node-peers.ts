// The two proxies a Node team would otherwise reach for, each a program of its own beside this file.
// They keep no access log and no metrics: what they are measured at is less work than the gateway does.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Peer, Site } from './peer.ts'

export const fastify: Peer = {
  name: 'fastify',
  description: '@fastify/http-proxy on undici, split by a hash of the sid cookie, no log',
  executables: [],
  version: () => `${versionOf('fastify')} + @fastify/http-proxy ${versionOf('@fastify/http-proxy')}`,
  prepare: (site) => ({ launch: nodeLaunch('fastify-server.ts', site) }),
}

export const express: Peer = {
  name: 'express',
  description: 'http-proxy-middleware with a keep-alive agent, split by a hash of the sid cookie, no log',
  executables: [],
  version: () => `${versionOf('express')} + http-proxy-middleware ${versionOf('http-proxy-middleware')}`,
  prepare: (site) => ({ launch: nodeLaunch('express-server.ts', site) }),
}

function nodeLaunch(file: string, { port, originPorts }: Site) {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const args = [path, String(port), String(originPorts.legacy), String(originPorts.service)]
  return { command: process.execPath, args, env: { NODE_ENV: 'production' } }
}

function versionOf(packageName: string): string {
  // Not require.resolve of package.json: some packages do not export it.
  for (const folder of createRequire(import.meta.url).resolve.paths(packageName) ?? []) {
    const version = readVersion(`${folder}/${packageName}/package.json`)
    if (version) return version
  }
  return 'not installed'
}

function readVersion(path: string): string | undefined {
  try {
    return createRequire(import.meta.url)(path).version
  } catch {
    return undefined
  }
}
