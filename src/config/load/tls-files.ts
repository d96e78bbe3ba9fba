// Reads the TLS keys and certificates that the map names as files.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { TlsOptions, Upstream } from '../../model/route.ts'
import { formatValue, joinPath, type Mistake, type ReportMistake } from '../mistake.ts'
import type { ValidConfig } from '../schema/valid-config.ts'
import type { CheckResult } from '../schema/validate.ts'

/** Reads the PEM files of a valid config; their paths are relative to `folder`. */
export async function readTlsFiles(config: ValidConfig, folder: string): Promise<CheckResult> {
  const mistakes: Mistake[] = []
  const report = (mistake: Mistake) => void mistakes.push(mistake)
  const legacy = await withPem(config.legacy, 'legacy', folder, report)
  const services = new Map<string, Upstream>()
  for (const [name, service] of config.services) {
    services.set(name, await withPem(service, joinPath('services', name), folder, report))
  }
  return mistakes.length === 0 ? { ok: true, config: { ...config, legacy, services } } : { ok: false, mistakes }
}

const MATERIAL = ['ca', 'cert', 'key'] as const

async function withPem(upstream: Upstream, path: string, folder: string, report: ReportMistake): Promise<Upstream> {
  if (upstream.tls === undefined) return upstream
  const tls: { -readonly [Key in keyof TlsOptions]: TlsOptions[Key] } = { ...upstream.tls }
  for (const key of MATERIAL) {
    const written = tls[key]
    if (written !== undefined) tls[key] = await readPem(written, joinPath(joinPath(path, 'tls'), key), folder, report)
  }
  return { ...upstream, tls }
}

/** Returns PEM text: the written text itself, or the content of the named file. Returns the written text after a mistake. */
export async function readPem(written: string, path: string, folder: string, report: ReportMistake): Promise<string> {
  if (written.includes('-----BEGIN ')) return written
  const shownPath = showPath(written)
  try {
    const text = await readFile(resolve(folder, written), 'utf8')
    if (text.includes('-----BEGIN ')) return text
    report({
      path,
      found: shownPath,
      message: 'is a file without PEM text ("-----BEGIN …"); convert it with openssl, or name another file',
    })
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'not a path'
    report({
      path,
      found: shownPath,
      message: `cannot be read (${reason}); write PEM text, or the path of a file relative to ${folder}`,
    })
  }
  return written
}

/** Shows only text that looks like a file name: other text may be a key in another encoding. */
function showPath(written: string): string {
  return /^[^\n]{1,255}\.[a-z0-9]{1,8}$/i.test(written) ? formatValue(written) : 'a text, not shown'
}
