import { mkdir, mkdtemp, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Watch, watchFile } from './watch.ts'

let folder: string
let file: string
let watch: Watch | undefined
let changes: number
let heard: PromiseWithResolvers<void>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strangler-watch-'))
  file = join(folder, 'routes.config.json')
  changes = 0
  heard = Promise.withResolvers()
})

afterEach(async () => {
  watch?.close()
  await rm(folder, { recursive: true })
})

function start(): void {
  watch = watchFile(file, () => {
    changes++
    heard.resolve()
    heard = Promise.withResolvers()
  })
}

test('an edit is noticed within a quarter of a second, or so', async () => {
  await writeFile(file, 'one')
  start()
  const startedAt = performance.now()
  const change = heard.promise
  await writeFile(file, 'two')
  await change
  // On a busy machine a timer is late; what is promised is the order of magnitude.
  expect(performance.now() - startedAt).toBeLessThan(1000)
  expect(changes).toBe(1)
})

test.each<[string, (content: string) => Promise<void>]>([
  ['written in place', (content) => writeFile(file, content)],
  [
    'replaced by rename',
    async (content) => {
      await writeFile(`${file}.tmp`, content)
      await rename(`${file}.tmp`, file)
    },
  ],
  [
    'deleted and made anew',
    async (content) => {
      await unlink(file)
      await writeFile(file, content)
    },
  ],
  [
    'written with the times of the old one',
    async (content) => {
      await writeFile(file, content)
      await utimes(file, 1_000_000, 1_000_000)
    },
  ],
])('each of several edits is noticed once: %s', async (_, edit) => {
  await writeFile(file, 'zero')
  start()
  // The same length each time: only the content tells them apart.
  for (const content of ['one.', 'two.', 'thre', 'zero']) {
    const change = heard.promise
    await edit(content)
    await change
  }
  expect(changes).toBe(4)
})

test('the swap of a Kubernetes ConfigMap’s symlink is an edit', async () => {
  for (const [version, content] of ['one', 'two'].entries()) {
    await mkdir(join(folder, `..v${version}`))
    await writeFile(join(folder, `..v${version}`, 'routes.config.json'), content)
  }
  await symlink('..v0', join(folder, '..data'))
  await symlink('..data/routes.config.json', file)
  start()
  const change = heard.promise
  await symlink('..v1', join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
  await change
  expect(changes).toBe(1)
})

test('the same content written again is no change', async () => {
  await writeFile(file, 'one')
  start()
  await writeFile(file, 'one')
  await utimes(file, 1, 1)
  await unlink(file)
  await writeFile(file, 'one')
  const change = heard.promise
  await writeFile(file, 'two')
  await change
  expect(changes).toBe(1)
})

test.each<[string, () => Promise<void>]>([
  ['deleted', () => unlink(file)],
  [
    'replaced by a folder',
    async () => {
      await unlink(file)
      await mkdir(file)
    },
  ],
])('a file that is %s is reported once, and again when the same content returns', async (_, takeAway) => {
  await writeFile(file, 'one')
  start()
  const gone = heard.promise
  await takeAway()
  await gone
  expect(changes).toBe(1)
  const back = heard.promise
  await rm(file, { recursive: true, force: true })
  await writeFile(file, 'one')
  await back
  expect(changes).toBe(2)
})

test('a file that is not there yet is noticed when it comes', async () => {
  start()
  const change = heard.promise
  await writeFile(file, 'one')
  await change
  expect(changes).toBe(1)
})

test('an edit right after the watch has begun is not lost', async () => {
  await writeFile(file, 'one')
  start()
  const change = heard.promise
  await writeFile(file, 'two')
  await change
})

test('nothing is reported once it is closed', async () => {
  await writeFile(file, 'one')
  start()
  watch?.close()
  const other = Promise.withResolvers<void>()
  const witness = watchFile(file, other.resolve)
  await writeFile(file, 'two')
  await other.promise
  witness.close()
  expect(changes).toBe(0)
})
