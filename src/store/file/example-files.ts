// Examples in a folder: a folder for each context, a file for each example. Its name says all that is asked for, so that
// only what is shown is read.
import { readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import { parseExample } from '../comparison-shape.ts'
import { digestOf, type ExampleId, newestFirst, sift } from '../example-id.ts'
import type { TellOnce } from '../once.ts'
import { replaceFile } from '../replace-file.ts'
import { NotThat } from '../shape.ts'
import { isLitter, namesIn } from './litter.ts'

/** `1760000400000-<of>-<digest>.json` */
const OURS = /^(\d+)-([0-9a-f]+)-([0-9a-f]+)\.json$/

type Found = ExampleId & { readonly path: string }

export class ExampleFiles {
  private readonly folder: string
  private readonly tellOnce: TellOnce

  constructor(folder: string, tellOnce: TellOnce) {
    this.folder = folder
    this.tellOnce = tellOnce
  }

  /** Writes an example, and takes away what is one too many: itself, if others are to be kept rather. */
  async put(context: string, id: ExampleId, text: string, now: number): Promise<void> {
    const folder = this.folderOf(context)
    const path = join(folder, `${id.at}-${id.of}-${id.digest}.json`)
    await replaceFile(path, text)
    for (const one of sift(await find(folder), now).surplus) await rm(one.path, { force: true })
  }

  /** The newest first; what is damaged is left out, which is told. */
  async read(context: string | undefined, fingerprint: string | undefined, now: number): Promise<StoredExample[]> {
    const of = fingerprint === undefined ? undefined : digestOf(fingerprint)
    const found: Found[] = []
    for (const folder of context === undefined ? await this.folders() : [this.folderOf(context)]) {
      found.push(...sift(await find(folder), now).kept.filter((one) => of === undefined || one.of === of))
    }
    const examples: StoredExample[] = []
    for (const { path } of found.toSorted(newestFirst)) {
      const example = await this.readOne(path)
      if (example !== undefined) examples.push(example)
    }
    return examples
  }

  /** Takes away what is forgotten, and what a process that was killed has left. */
  async sweep(now: number): Promise<void> {
    for (const folder of await this.folders()) {
      for (const { path } of sift(await find(folder), now).surplus) await rm(path, { force: true })
      for (const name of await namesIn(folder)) {
        const path = join(folder, name)
        if (await isLitter(path)) await rm(path, { force: true })
      }
      // It stays where there is something in it.
      await rmdir(folder).catch(() => {})
    }
  }

  private async readOne(path: string): Promise<StoredExample | undefined> {
    try {
      return parseExample(await readFile(path, 'utf8'))
    } catch (error) {
      if (error instanceof NotThat) this.tellOnce(path, error)
      // It had to make room for another one just now.
      else if (!isMissing(error)) throw error
      return undefined
    }
  }

  private async folders(): Promise<string[]> {
    return (await namesIn(this.folder)).map((name) => join(this.folder, name))
  }

  private folderOf(context: string): string {
    return join(this.folder, digestOf(context))
  }
}

async function find(folder: string): Promise<Found[]> {
  return (await namesIn(folder)).flatMap((name) => {
    const [, at, of, digest] = OURS.exec(name) ?? []
    return at === undefined ? [] : [{ at: Number(at), of: of!, digest: digest!, path: join(folder, name) }]
  })
}
