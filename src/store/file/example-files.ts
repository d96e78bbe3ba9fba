// Examples in a folder: one folder for each context and one file for each example. The name of a file contains everything
// that a query filters by, so that only the selected files are read.
import { readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import { parseExample } from '../comparison-schema.ts'
import { digestOf, type ExampleId, newestFirst, selectExamples } from '../example-id.ts'
import type { ReportUnreadable } from '../report-once.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import { listFolder, removeStaleFiles } from './temporary-files.ts'

/** `1760000400000-<difference>-<digest>.json` */
const FILE_NAME = /^(\d+)-([0-9a-f]+)-([0-9a-f]+)\.json$/

type ExampleFile = ExampleId & { readonly path: string }

export class ExampleFiles {
  readonly #folder: string
  readonly #reportUnreadable: ReportUnreadable

  constructor(folder: string, reportUnreadable: ReportUnreadable) {
    this.#folder = folder
    this.#reportUnreadable = reportUnreadable
  }

  /** Writes an example and removes the surplus ones, which can be this one. @param now milliseconds since 1970 */
  async put(context: string, id: ExampleId, text: string, now: number): Promise<void> {
    const folder = this.#folderOf(context)
    await replaceFile(join(folder, `${id.at}-${id.difference}-${id.digest}.json`), text)
    await removeSurplus(folder, now)
  }

  /** The newest first. Leaves out and reports a damaged example. @param now milliseconds since 1970 */
  async read(context: string | undefined, fingerprint: string | undefined, now: number): Promise<StoredExample[]> {
    const difference = fingerprint === undefined ? undefined : digestOf(fingerprint)
    const files: ExampleFile[] = []
    for (const folder of context === undefined ? await this.#folders() : [this.#folderOf(context)]) {
      const { retained } = selectExamples(await listExamples(folder), now)
      files.push(...retained.filter((file) => difference === undefined || file.difference === difference))
    }
    const examples: StoredExample[] = []
    for (const { path } of files.toSorted(newestFirst)) {
      const example = await this.#readFile(path)
      if (example !== undefined) examples.push(example)
    }
    return examples
  }

  /** Removes surplus and expired examples and stale temporary files. @param now milliseconds since 1970 */
  async sweep(now: number): Promise<void> {
    for (const folder of await this.#folders()) {
      await removeSurplus(folder, now)
      await removeStaleFiles(folder)
      // Fails if the folder is not empty.
      await rmdir(folder).catch(() => {})
    }
  }

  async #readFile(path: string): Promise<StoredExample | undefined> {
    try {
      return parseExample(await readFile(path, 'utf8'))
    } catch (error) {
      if (error instanceof InvalidStoredValue) this.#reportUnreadable(path, error)
      else if (!isMissing(error)) throw error
      return undefined
    }
  }

  async #folders(): Promise<string[]> {
    return (await listFolder(this.#folder)).map((name) => join(this.#folder, name))
  }

  #folderOf(context: string): string {
    return join(this.#folder, digestOf(context))
  }
}

async function removeSurplus(folder: string, now: number): Promise<void> {
  for (const { path } of selectExamples(await listExamples(folder), now).surplus) await rm(path, { force: true })
}

async function listExamples(folder: string): Promise<ExampleFile[]> {
  return (await listFolder(folder)).flatMap((name) => {
    const [, time, difference = '', digest = ''] = FILE_NAME.exec(name) ?? []
    return time === undefined ? [] : [{ at: Number(time), difference, digest, path: join(folder, name) }]
  })
}
