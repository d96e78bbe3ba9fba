// Certificates for tests, created with openssl and deleted at the end of the test.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { whenOver } from './lifetime.ts'

export type Certificate = { readonly cert: string; readonly key: string }
export type Authority = Certificate & {
  /** Signs a certificate. @param names such as `DNS:orders.test` or `IP:127.0.0.1` */
  readonly sign: (names: string) => Promise<Certificate>
}

const openssl = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Creates a certificate authority that is not in any trust store. */
export async function createAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-ca-'))
  whenOver(() => rm(folder, { recursive: true, force: true }))
  const pathOf = (name: string) => join(folder, name)
  const read = async (name: string) => ({
    cert: await readFile(pathOf(`${name}.crt`), 'utf8'),
    key: await readFile(pathOf(`${name}.key`), 'utf8'),
  })
  await openssl('openssl', [
    'req',
    '-x509',
    ...KEY,
    '-days',
    '2',
    '-subj',
    '/CN=Test authority',
    '-keyout',
    pathOf('ca.key'),
    '-out',
    pathOf('ca.crt'),
  ])
  let signed = 0
  return {
    ...(await read('ca')),
    sign: async (names) => {
      const name = `signed-${++signed}`
      await writeFile(pathOf(`${name}.ext`), `subjectAltName=${names}\n`)
      await openssl('openssl', [
        'req',
        ...KEY,
        '-subj',
        '/CN=signed',
        '-keyout',
        pathOf(`${name}.key`),
        '-out',
        pathOf(`${name}.csr`),
      ])
      await openssl('openssl', [
        'x509',
        '-req',
        '-days',
        '2',
        '-in',
        pathOf(`${name}.csr`),
        '-CA',
        pathOf('ca.crt'),
        '-CAkey',
        pathOf('ca.key'),
        '-set_serial',
        String(signed),
        '-extfile',
        pathOf(`${name}.ext`),
        '-out',
        pathOf(`${name}.crt`),
      ])
      return read(name)
    },
  }
}
