// Failures of the disk and of the operating system: a kill at any byte, a full disk, lost files.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import type { AuditRecord } from '../../src/model/audit-log.ts'
import { EMPTY_STATE, type SharedState } from '../../src/model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../../src/model/state-store.ts'
import { removeChainFields } from '../../src/store/audit-chain.ts'
import { FileStore } from '../../src/store/file/file-store.ts'
import type { StoreEvents } from '../../src/store/store-events.ts'
import { whenOver } from '../kit/lifetime.ts'
import { START_LIMIT_MS, until } from '../kit/until.ts'
import { entryOf, flipped, refusal } from './changes.ts'
import { newFolder, started } from './places.ts'

describe('the folder of a file store', () => {
  it('and its files can be read by their owner only', async () => {
    const folder = join(await newFolder(), 'deep', '.strangler')
    const { store } = await open(folder)
    await change(store)
    await store.saveFlagBackup({ text: '{}', at: 1 })
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const names = (await readdir(folder)).toSorted()
    expect(names).toEqual(['audit.jsonl', 'kept-flags.json', 'lock', 'state.copy.json', 'state.json'])
    for (const name of names) expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600)
  })

  it('has the whole state after a restart', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store, await change(store))
    await store.record(refusal('no'))
    await store.saveFlagBackup({ text: '{"version":2}', at: 9 })
    const { records } = await store.history({ limit: 10 })
    await store.close()
    expect(await readdir(folder)).not.toContain('lock')

    const { store: again, events } = await open(folder)
    expect(again.current()).toEqual(state)
    expect((await again.history({ limit: 10 })).records).toEqual(records)
    expect(await again.loadFlagBackup()).toEqual({ text: '{"version":2}', at: 9 })
    expect(events.failed).toEqual([])
  })

  it('gets a new log after the old one was renamed', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.record(refusal('old'))
    await rename(join(folder, 'audit.jsonl'), join(folder, 'audit.1.jsonl'))
    await store.record(refusal('new'))
    expect((await store.history({ limit: 10 })).records.map(({ detail }) => detail)).toEqual(['new'])
  })

  it('continues the chain in a new log, so that the new file follows the renamed one', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.record(refusal('old'))
    const { head } = await store.verifyHistory()
    await rename(join(folder, 'audit.jsonl'), join(folder, 'audit.1.jsonl'))
    await store.record(refusal('new'))
    expect(await store.verifyHistory()).toMatchObject({ verified: 1, startsAfter: head, broken: null })
  })

  it('has a chain without a fault and each entry once, if it is opened again after the log was renamed', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await change(store)
    await store.record(refusal('before'))
    await rename(join(folder, 'audit.jsonl'), join(folder, 'audit.1.jsonl'))
    await store.record(refusal('after'))
    await store.close()
    for (let start = 0; start < 2; start++) {
      const { store: again } = await open(folder)
      expect(await again.verifyHistory()).toMatchObject({ verified: 2, unchained: 0, branches: 0, broken: null })
      await again.close()
    }
  })

  it.each<[string, (lines: string[]) => string[], number, string]>([
    ['an edited line', ([a = '', b = '', ...rest]) => [a, b.replace('no 1', 'no 9'), ...rest], 1, 'edited'],
    ['a removed line', ([a = '', , ...rest]) => [a, ...rest], 1, 'missing'],
    ['a line without its hash', ([a = '', b = '', ...rest]) => [a, removeChainFields(b), ...rest], 1, 'missing'],
    ['two lines in another order', ([a = '', b = '', c = '', ...rest]) => [a, c, b, ...rest], 1, 'reordered'],
    ['a line that is there twice', ([a = '', b = '', ...rest]) => [a, b, b, ...rest], 2, 'repeated'],
  ])('has a log in which the verification finds %s', async (_, edit, verified, fault) => {
    const folder = await newFolder()
    const { store } = await open(folder)
    for (let number = 0; number < 4; number++) await store.record(refusal(`no ${number}`))
    const file = join(folder, 'audit.jsonl')
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    await writeFile(file, `${edit(lines).join('\n')}\n`)
    expect(await store.verifyHistory()).toMatchObject({ verified, broken: { fault } })
  })

  it('counts a log of the previous version as unchained, and begins the chain behind it', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'audit.jsonl'), `${JSON.stringify(refusal('old'))}\n`.repeat(3))
    const { store } = await open(folder)
    expect(await store.verifyHistory()).toMatchObject({ verified: 0, unchained: 3, head: null, broken: null })
    await store.record(refusal('new'))
    expect(await store.verifyHistory()).toMatchObject({
      verified: 1,
      unchained: 3,
      unchainedAfterStart: 0,
      startsAfter: null,
      broken: null,
    })
  })

  it('has an entry once after a restart, in whatever order its fields were written', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const next = flipped(EMPTY_STATE, 25)
    const { actor, ...rest } = entryOf(next)
    await store.commit(next, { ...rest, actor })
    await store.close()
    const { store: again } = await open(folder)
    expect(await again.verifyHistory()).toMatchObject({ verified: 1, broken: null })
    expect((await again.history({ limit: 10 })).records).toHaveLength(1)
  })

  it('has a log that is read page by page from its end', async () => {
    const folder = await newFolder()
    const lines = Array.from({ length: 2000 }, (_, number) =>
      JSON.stringify(refusal(`no ${number} ${'ü'.repeat(number % 300)}`)),
    )
    await writeFile(join(folder, 'audit.jsonl'), `${lines.join('\n')}\n`)
    const { store, events } = await open(folder)
    const seen: string[] = []
    let position: string | undefined
    do {
      const page = await store.history({ limit: 300, before: position })
      seen.push(...page.records.map(({ detail }) => detail?.split(' ')[1] ?? ''))
      position = page.next ?? undefined
    } while (position !== undefined)
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, index) => String(1999 - index)))
    expect(events.failed).toEqual([])
    expect((await store.history({ limit: 1, before: '77' })).records).toEqual([])
  })
})

describe('a process that is killed while it commits', () => {
  it('leaves every acknowledged change, and an audit log that matches the state, each time', {
    timeout: 60_000,
  }, async () => {
    const folder = await newFolder()
    let minimum = 0
    for (let round = 0; round < 6; round++) {
      minimum = await killAfter(folder, minimum + 3 + round * 7)
      const { store, events } = await open(folder)
      const { generation } = store.current()
      expect(generation).toBeGreaterThanOrEqual(minimum)
      expect(generation).toBeLessThanOrEqual(minimum + 1)
      expect(events.failed).toEqual([])
      const records = await readAll(store)
      const changes = records.filter(({ result }) => result === 'done').map((record) => record.generation)
      expect(changes).toEqual(Array.from({ length: generation }, (_, index) => generation - index))
      await store.close()
      minimum = generation
    }
  })

  it('leaves a lock that the next process removes, and temporary files that it deletes', async () => {
    const folder = await newFolder()
    await killAfter(folder, 2)
    expect(await readdir(folder)).toContain('lock')
    const litter = join(folder, 'state.json.0000.tmp')
    await writeFile(litter, 'half')
    await utimes(litter, new Date(0), new Date(0))
    const { store } = await open(folder)
    expect(store.status().isConnected).toBe(true)
    expect(await readdir(folder)).not.toContain('state.json.0000.tmp')
  })

  it('leaves an audit log that the next start completes, at whatever byte of the entry the log was cut', {
    timeout: 60_000,
  }, async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const first = await change(store)
    await store.record(refusal('between'))
    const { size: oldSize } = await stat(join(folder, 'audit.jsonl'))
    const second = await change(store, first)
    await store.close()
    const { size } = await stat(join(folder, 'audit.jsonl'))
    const whole = await readFile(join(folder, 'audit.jsonl'), 'utf8')
    for (let length = oldSize; length <= size; length++) {
      await truncate(join(folder, 'audit.jsonl'), length)
      const { store: again } = await open(folder)
      expect(again.current()).toEqual(second)
      await again.close()
      expect(await readFile(join(folder, 'audit.jsonl'), 'utf8'), `cut at ${length}`).toBe(whole)
    }
  })

  it('leaves an incomplete line of the log, which is removed before the next entry', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await change(store)
    await store.close()
    await writeFile(
      join(folder, 'audit.jsonl'),
      `${await readFile(join(folder, 'audit.jsonl'), 'utf8')}{"at":17${'0'.repeat(2000)}`,
    )
    const { store: again } = await open(folder)
    await again.record(refusal('next'))
    expect((await again.history({ limit: 10 })).records.map(({ detail }) => detail)).toEqual(['next', null])
    for (const line of (await readFile(join(folder, 'audit.jsonl'), 'utf8')).trimEnd().split('\n')) JSON.parse(line)
  })
})

describe('a state file that cannot be read', () => {
  it('is renamed, reported, and replaced by its copy', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store, await change(store))
    await store.close()
    await truncate(join(folder, 'state.json'), 40)
    const { store: again, events } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(events.failed.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /state\.json cannot be read; it is kept as .+state\.json\.unreadable-\d+; generation 2 is taken from state\.copy\.json$/,
      ),
    ])
    expect((await readdir(folder)).filter((name) => name.includes('unreadable'))).toHaveLength(1)
    expect(await again.commit(flipped(state, 75), entryOf(flipped(state, 75)))).toEqual({ ok: true })
  })

  it.each([
    ['{}'],
    [''],
    ['\0\0\0\0'],
    ['{"state":{"generation":3,"kill":null,"contexts":{"__proto__":{}},"flags":null},"entry":null,"auditBytes":0}'],
  ])('is replaced by its copy if it contains %j', async (text) => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    await writeFile(join(folder, 'state.json'), text)
    const { store: again, events } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(events.failed).toHaveLength(1)
  })

  it('and has no copy is reported with the lost changes, and the generation continues', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await change(store, await change(store))
    await store.close()
    await writeFile(join(folder, 'state.json'), 'garbage')
    await rm(join(folder, 'state.copy.json'))
    const { store: again, events } = await open(folder)
    expect(again.current()).toEqual({ ...EMPTY_STATE, generation: 2 })
    expect(events.failed[0]?.message).toContain(
      'make these changes again: flip of catalog by ada (generation 1), flip of catalog by ada (generation 2)',
    )
  })

  it('because it is missing is restored from its copy', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    await rm(join(folder, 'state.json'))
    const { store: again, events } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(events.failed[0]?.message).toContain('is gone')
  })

  it('because an older backup has replaced it gets the kill switch, pins and rollbacks of the audit log', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const first = await change(store)
    await store.close()
    const backup = await readFile(join(folder, 'state.json'))
    const { store: second } = await open(folder)
    const stamp = { by: 'ada', reason: 'canary', at: 1002 }
    const killed = { ...first, generation: 2, kill: stamp }
    await second.commit(killed, { ...entryOf(killed), verb: 'kill', context: null })
    const pin = {
      ...entryOf({ ...killed, generation: 3 }),
      verb: 'pin',
      after: { side: 'legacy', until: null },
    } as const
    await second.commit({ ...killed, generation: 3 }, pin)
    const flip = { ...killed, generation: 4 }
    await second.commit(flip, entryOf(flip))
    await second.close()
    for (const name of ['state.json', 'state.copy.json']) await writeFile(join(folder, name), backup)

    const { store: again } = await open(folder)
    expect(again.current()).toMatchObject({
      generation: 4,
      kill: { by: 'ada' },
      killChange: { verb: 'kill', generation: 2 },
      contexts: {
        catalog: { pin: { side: 'legacy', by: 'ada', until: null }, changed: { verb: 'pin', generation: 3 } },
      },
    })
    const lost = 'make these changes again: flip of catalog by ada (generation 4)'
    expect((await readAll(again))[0]).toMatchObject({ verb: 'restore', detail: expect.stringContaining(lost) })
    expect(again.status().restored?.detail).toContain(lost)
    await again.close()
    const { store: later } = await open(folder)
    expect(later.current()).toEqual(again.current())
    expect((await readAll(later)).filter(({ verb }) => verb === 'restore')).toHaveLength(1)
  })

  it('because an older backup has replaced it is restored from the memory of the running gateway', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const first = await change(store)
    const names = ['state.json', 'state.copy.json', 'audit.jsonl']
    await until(async () => (await readdir(folder)).includes('state.copy.json'))
    const backup = await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const))
    const second = await change(store, first)
    await store.record(refusal('so that the copy was written'))
    await rm(folder, { recursive: true })
    await mkdir(folder)
    for (const [name, text] of backup) await writeFile(join(folder, name), text)
    await until(async () => (await readdir(folder)).includes('lock'))
    await until(() => store.status().restored !== undefined)
    expect(await store.read()).toEqual(second)
    await store.close()
    const { store: again } = await open(folder)
    expect(again.current()).toEqual(second)
  })

  it('because of a temporary error of the file system is not overwritten', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    const file = join(folder, 'state.json')
    await rename(file, join(folder, 'elsewhere'))
    // A folder of the same name can be opened, but not read.
    await mkdir(file)
    const { store: again } = await open(folder)
    expect(again.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('EISDIR') })
    await expect(again.commit(flipped(EMPTY_STATE, 1), entryOf(flipped(EMPTY_STATE, 1)))).rejects.toThrow(
      StoreUnavailable,
    )
    await rm(file, { recursive: true })
    await rename(join(folder, 'elsewhere'), file)
    await until(() => again.status().isConnected)
    expect(again.current()).toEqual(state)
  })
})

describe('a second gateway with the same folder', () => {
  it('reports who has the folder, follows the state, and takes the folder over when the first gateway has ended', async () => {
    const folder = await newFolder()
    const child = await startCommitter(folder, 1)
    const { store, events } = await open(folder)
    const trouble = store.status().trouble
    expect(trouble).toBe(
      `the folder ${folder} is used by another gateway (process ${child.pid} on ${hostname()}); stop that one, or give this one a folder of its own with --state-dir, or share state through REDIS_URL`,
    )
    expect(events.disconnected).toEqual([trouble])
    const next = flipped(store.current(), 1)
    await expect(store.commit(next, entryOf(next))).rejects.toThrow('used by another gateway')
    const seen = store.current().generation
    await until(() => store.current().generation > seen)
    child.process.kill('SIGKILL')
    await until(() => store.status().isConnected)
    await change(store, store.current())
    expect(events.disconnected).toHaveLength(1)
    expect(events.reconnected).toHaveLength(1)
  })

  it('in the same process is rejected too', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const { store: second } = await open(folder)
    expect(second.status().trouble).toContain(`used by another gateway (process ${process.pid} on`)
    await change(store)
  })

  it.each([
    ['a process that does not exist', { pid: 2 ** 22 + 1, started: '1' }, true],
    ['a process with the same id and another start time', { pid: process.pid, started: '1' }, true],
    ['another host, touched a moment ago', { pid: 1, started: '1', host: 'elsewhere' }, false],
  ])('takes the folder only from an ended process: a lock of %s', async (_what, holder, isTaken) => {
    const folder = await newFolder()
    await writeFile(join(folder, 'lock'), JSON.stringify({ host: hostname(), token: 'x', ...holder }))
    const { store } = await open(folder)
    expect(store.status().isConnected).toBe(isTaken)
  })

  it('takes over a lock of another host that was not touched for a minute', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'lock'), JSON.stringify({ pid: 1, started: '1', host: 'elsewhere', token: 'x' }))
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(join(folder, 'lock'), longAgo, longAgo)
    const { store } = await open(folder)
    expect(store.status().isConnected).toBe(true)
  })

  it('does not get the folder if another gateway takes over a dead lock at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const folder = await newFolder()
      await writeFile(join(folder, 'lock'), JSON.stringify({ pid: 2 ** 22 + 1, started: '1', host: 'x', token: 'x' }))
      await utimes(join(folder, 'lock'), new Date(0), new Date(0))
      const both = await Promise.all([open(folder), open(folder), open(folder)])
      expect(both.filter(({ store }) => store.status().isConnected)).toHaveLength(1)
      for (const { store } of both) await store.close()
    }
  })
})

describe('a full disk', () => {
  it('rejects a change and loses no older one', async () => {
    const folder = await newFolder()
    const { store, events } = await open(folder)
    const state = await change(store)
    const oldText = await readFile(join(folder, 'state.json'), 'utf8')
    const log = await readFile(join(folder, 'audit.jsonl'), 'utf8')
    const next = flipped(state, 50)
    await limitFiles(100)
    await expect(store.commit(next, entryOf(next))).rejects.toThrow(StoreUnavailable)
    await expect(store.record(refusal('no'))).rejects.toThrow(StoreUnavailable)
    expect(store.current()).toEqual(state)
    expect(store.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('cannot be written') })
    expect(events.disconnected).toHaveLength(1)
    expect((await store.history({ limit: 5 })).records).toHaveLength(1)
    expect(store.status().isConnected).toBe(false)
    await limitFiles('unlimited')
    expect(await readFile(join(folder, 'state.json'), 'utf8')).toBe(oldText)
    expect(await readFile(join(folder, 'audit.jsonl'), 'utf8')).toBe(log)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
    await until(() => store.status().isConnected)
    expect(events.reconnected).toHaveLength(1)
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  })

  it('for the log alone accepts a change with its entry, which is added to the log later', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    for (let number = 0; number < 10; number++) await store.record(refusal(`no ${number}`))
    const { size } = await stat(join(folder, 'audit.jsonl'))
    const next = flipped(EMPTY_STATE, 50)
    await limitFiles(size + 60)
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
    await expect(store.record(refusal('no more'))).rejects.toThrow(StoreUnavailable)
    expect((await stat(join(folder, 'audit.jsonl'))).size).toBe(size)
    await limitFiles('unlimited')
    await store.record(refusal('again'))
    const { records } = await store.history({ limit: 3 })
    expect(records.map(({ generation, detail }) => detail ?? generation)).toEqual(['again', 1, 'no 9'])
    await store.close()
    const { store: again } = await open(folder)
    expect(again.current()).toEqual(next)
    expect(await readAll(again)).toHaveLength(12)
  })
})

type RecordedEvents = { readonly failed: Error[]; readonly disconnected: string[]; readonly reconnected: number[] }

async function open(folder: string): Promise<{ store: StateStore; events: RecordedEvents }> {
  const events: RecordedEvents = { failed: [], disconnected: [], reconnected: [] }
  const listeners: StoreEvents = {
    failed: (error) => void events.failed.push(error),
    disconnected: (reason) => void events.disconnected.push(reason),
    reconnected: (ms) => void events.reconnected.push(ms),
    restored: () => {},
  }
  return { store: await started(new FileStore({ folder, clock: systemClock, events: listeners })), events }
}

/** Commits the next change. @returns the new state */
async function change(store: StateStore, from: SharedState = EMPTY_STATE): Promise<SharedState> {
  const next = flipped(from, 25)
  expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  return next
}

async function readAll(store: StateStore): Promise<readonly AuditRecord[]> {
  return (await store.history({ limit: 100_000 })).records
}

/** Starts a process that commits. Resolves when it has an acknowledged generation. */
async function startCommitter(folder: string, generation: number) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'committer.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  whenOver(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text
  })
  const acknowledged = () => Number(printed.split('\n').at(-2) ?? 0)
  await until(() => acknowledged() >= generation || child.exitCode !== null, START_LIMIT_MS)
  expect(child.exitCode).toBeNull()
  return { process: child, pid: child.pid, acknowledged }
}

/** Kills a committing process after an acknowledged generation. @returns the last acknowledged generation */
async function killAfter(folder: string, generation: number): Promise<number> {
  const child = await startCommitter(folder, generation)
  const gone = once(child.process, 'close')
  child.process.kill('SIGKILL')
  await gone
  return child.acknowledged()
}

/** Limits the size of each file of this process: a write beyond it fails halfway, as on a full disk. */
async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  const set = (limit: number | 'unlimited') =>
    promisify(execFile)('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`])
  whenOver(() => set('unlimited'))
  await set(bytes)
}
