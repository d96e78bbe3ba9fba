// What only a disk and an operating system can do to a gateway: kill it at any byte, be full, lose its files.
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

describe('the folder', () => {
  it('and what is in it are for the gateway alone', async () => {
    const folder = join(await newFolder(), 'deep', '.strangler')
    const { store } = await open(folder)
    await change(store)
    await store.saveFlagBackup({ text: '{}', at: 1 })
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const names = (await readdir(folder)).toSorted()
    expect(names).toEqual(['audit.jsonl', 'kept-flags.json', 'lock', 'state.copy.json', 'state.json'])
    for (const name of names) expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600)
  })

  it('keeps everything for the next start', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store, await change(store))
    await store.record(refusal('no'))
    await store.saveFlagBackup({ text: '{"version":2}', at: 9 })
    const { records } = await store.history({ limit: 10 })
    await store.close()
    expect(await readdir(folder)).not.toContain('lock')

    const { store: again, told } = await open(folder)
    expect(again.current()).toEqual(state)
    expect((await again.history({ limit: 10 })).records).toEqual(records)
    expect(await again.loadFlagBackup()).toEqual({ text: '{"version":2}', at: 9 })
    expect(told.troubled).toEqual([])
  })

  it('goes on with a new log where the old one was moved away', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.record(refusal('old'))
    await rename(join(folder, 'audit.jsonl'), join(folder, 'audit.1.jsonl'))
    await store.record(refusal('new'))
    expect((await store.history({ limit: 10 })).records.map(({ detail }) => detail)).toEqual(['new'])
  })

  it('goes on with the chain where the log was moved away, so that the two files follow each other', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.record(refusal('old'))
    const { head } = await store.verifyHistory()
    await rename(join(folder, 'audit.jsonl'), join(folder, 'audit.1.jsonl'))
    await store.record(refusal('new'))
    expect(await store.verifyHistory()).toMatchObject({ verified: 1, startsAfter: head, broken: null })
  })

  it('that is opened again after its log was moved away has a chain without a fault, and each entry once', async () => {
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
  ])('%s of the log is found', async (_, edit, verified, fault) => {
    const folder = await newFolder()
    const { store } = await open(folder)
    for (let number = 0; number < 4; number++) await store.record(refusal(`no ${number}`))
    const file = join(folder, 'audit.jsonl')
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    await writeFile(file, `${edit(lines).join('\n')}\n`)
    expect(await store.verifyHistory()).toMatchObject({ verified, broken: { fault } })
  })

  it('a log of the previous version is unchained, and the chain begins behind it', async () => {
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

  it('an entry whose fields were given in any order is not written again by the next start', async () => {
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

  it('has a log that is read from its end, whatever its length', async () => {
    const folder = await newFolder()
    const lines = Array.from({ length: 2000 }, (_, number) =>
      JSON.stringify(refusal(`no ${number} ${'ü'.repeat(number % 300)}`)),
    )
    await writeFile(join(folder, 'audit.jsonl'), `${lines.join('\n')}\n`)
    const { store, told } = await open(folder)
    const seen: string[] = []
    let before: string | undefined
    do {
      const page = await store.history({ limit: 300, before })
      seen.push(...page.records.map(({ detail }) => detail?.split(' ')[1] ?? ''))
      before = page.next ?? undefined
    } while (before !== undefined)
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, index) => String(1999 - index)))
    expect(told.troubled).toEqual([])
    expect((await store.history({ limit: 1, before: '77' })).records).toEqual([])
  })
})

describe('a process that is killed', () => {
  it('has kept whatever it promised, and state and audit log agree, however often', { timeout: 60_000 }, async () => {
    const folder = await newFolder()
    let promised = 0
    for (let round = 0; round < 6; round++) {
      promised = await killAfter(folder, promised + 3 + round * 7)
      const { store, told } = await open(folder)
      const { generation } = store.current()
      expect(generation).toBeGreaterThanOrEqual(promised)
      expect(generation).toBeLessThanOrEqual(promised + 1)
      expect(told.troubled).toEqual([])
      const records = await all(store)
      const changes = records.filter(({ result }) => result === 'done').map((record) => record.generation)
      expect(changes).toEqual(Array.from({ length: generation }, (_, index) => generation - index))
      await store.close()
      promised = generation
    }
  })

  it('leaves a lock that nobody respects, and litter that is taken away', async () => {
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

  it('between state and audit log is made up for: the log is torn at every byte of the entry', {
    timeout: 60_000,
  }, async () => {
    const made = await newFolder()
    const { store } = await open(made)
    const first = await change(store)
    await store.record(refusal('between'))
    const { size: before } = await stat(join(made, 'audit.jsonl'))
    const second = await change(store, first)
    await store.close()
    const { size } = await stat(join(made, 'audit.jsonl'))
    const whole = await readFile(join(made, 'audit.jsonl'), 'utf8')
    for (let at = before; at <= size; at++) {
      await truncate(join(made, 'audit.jsonl'), at)
      const { store: again } = await open(made)
      expect(again.current()).toEqual(second)
      await again.close()
      expect(await readFile(join(made, 'audit.jsonl'), 'utf8'), `torn at ${at}`).toBe(whole)
    }
  })

  it('in the middle of what is no change leaves a torn line, which is cut before the next', async () => {
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

describe('a state that cannot be read', () => {
  it('is kept aside, told, and replaced by its copy', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store, await change(store))
    await store.close()
    await truncate(join(folder, 'state.json'), 40)
    const { store: again, told } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(told.troubled.map(({ message }) => message)).toEqual([
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
  ])('whatever is there instead: %j', async (text) => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    await writeFile(join(folder, 'state.json'), text)
    const { store: again, told } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(told.troubled).toHaveLength(1)
  })

  it('and has no copy is never silently empty: the generation goes on, and what is lost is said', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await change(store, await change(store))
    await store.close()
    await writeFile(join(folder, 'state.json'), 'garbage')
    await rm(join(folder, 'state.copy.json'))
    const { store: again, told } = await open(folder)
    expect(again.current()).toEqual({ ...EMPTY_STATE, generation: 2 })
    expect(told.troubled[0]?.message).toContain(
      'make these changes again: flip of catalog by ada (generation 1), flip of catalog by ada (generation 2)',
    )
  })

  it('because it is gone comes back from its copy', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    await rm(join(folder, 'state.json'))
    const { store: again, told } = await open(folder)
    expect(again.current()).toEqual(state)
    expect(told.troubled[0]?.message).toContain('is gone')
  })

  it('that an older backup has replaced gets back what the audit log has: kill, pins and rollbacks', async () => {
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
    expect((await all(again))[0]).toMatchObject({ verb: 'restore', detail: expect.stringContaining(lost) })
    expect(again.status().restored?.detail).toContain(lost)
    await again.close()
    const { store: later } = await open(folder)
    expect(later.current()).toEqual(again.current())
    expect((await all(later)).filter(({ verb }) => verb === 'restore')).toHaveLength(1)
  })

  it('that an older backup has replaced under a gateway that runs gets back what the gateway knows', async () => {
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

  it('for a reason that may pass is not written over', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const state = await change(store)
    await store.close()
    const file = join(folder, 'state.json')
    await rename(file, join(folder, 'elsewhere'))
    // A folder in its place: it can be opened, and not read.
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

describe('a second gateway', () => {
  it('is told in one sentence that the folder is taken, follows, and takes over when the first is gone', async () => {
    const folder = await newFolder()
    const child = await startCommitter(folder, 1)
    const { store, told } = await open(folder)
    const trouble = store.status().trouble
    expect(trouble).toBe(
      `the folder ${folder} is used by another gateway (process ${child.pid} on ${hostname()}); stop that one, or give this one a folder of its own with --state-dir, or share state through REDIS_URL`,
    )
    expect(told.cutOff).toEqual([trouble])
    const next = flipped(store.current(), 1)
    await expect(store.commit(next, entryOf(next))).rejects.toThrow('used by another gateway')
    const seen = store.current().generation
    await until(() => store.current().generation > seen)
    child.process.kill('SIGKILL')
    await until(() => store.status().isConnected)
    await change(store, store.current())
    expect(told.cutOff).toHaveLength(1)
    expect(told.reached).toHaveLength(1)
  })

  it('in the same process is refused like any other', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const { store: second } = await open(folder)
    expect(second.status().trouble).toContain(`used by another gateway (process ${process.pid} on`)
    await change(store)
  })

  it.each([
    ['a process that is not there', { pid: 2 ** 22 + 1, started: '1' }, true],
    ['a process with the same number that began at another time', { pid: process.pid, started: '1' }, true],
    ['a host that cannot be seen, a moment ago', { pid: 1, started: '1', host: 'elsewhere' }, false],
  ])('finds a lock of %s', async (_what, holder, isTaken) => {
    const folder = await newFolder()
    await writeFile(join(folder, 'lock'), JSON.stringify({ host: hostname(), token: 'x', ...holder }))
    const { store } = await open(folder)
    expect(store.status().isConnected).toBe(isTaken)
  })

  it('takes a lock of a host that cannot be seen when nobody has touched it for long', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'lock'), JSON.stringify({ pid: 1, started: '1', host: 'elsewhere', token: 'x' }))
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(join(folder, 'lock'), longAgo, longAgo)
    const { store } = await open(folder)
    expect(store.status().isConnected).toBe(true)
  })

  it('of two who find the lock of a dead one, one has the folder', async () => {
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

describe('a disk that takes no more', () => {
  it('refuses a change and loses nothing', async () => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    const state = await change(store)
    const before = await readFile(join(folder, 'state.json'), 'utf8')
    const log = await readFile(join(folder, 'audit.jsonl'), 'utf8')
    const next = flipped(state, 50)
    await limitFiles(100)
    await expect(store.commit(next, entryOf(next))).rejects.toThrow(StoreUnavailable)
    await expect(store.record(refusal('no'))).rejects.toThrow(StoreUnavailable)
    expect(store.current()).toEqual(state)
    expect(store.status()).toMatchObject({ isConnected: false, trouble: expect.stringContaining('cannot be written') })
    expect(told.cutOff).toHaveLength(1)
    expect((await store.history({ limit: 5 })).records).toHaveLength(1)
    expect(store.status().isConnected).toBe(false)
    await limitFiles('unlimited')
    expect(await readFile(join(folder, 'state.json'), 'utf8')).toBe(before)
    expect(await readFile(join(folder, 'audit.jsonl'), 'utf8')).toBe(log)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
    await until(() => store.status().isConnected)
    expect(told.reached).toHaveLength(1)
    expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  })

  it('for the log only keeps the change with its entry, and the log follows', async () => {
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
    expect(await all(again)).toHaveLength(12)
  })
})

type Told = { readonly troubled: Error[]; readonly cutOff: string[]; readonly reached: number[] }

async function open(folder: string): Promise<{ store: StateStore; told: Told }> {
  const told: Told = { troubled: [], cutOff: [], reached: [] }
  const events: StoreEvents = {
    failed: (error) => void told.troubled.push(error),
    disconnected: (reason) => void told.cutOff.push(reason),
    reconnected: (ms) => void told.reached.push(ms),
    restored: () => {},
  }
  return { store: await started(new FileStore({ folder, clock: systemClock, events })), told }
}

/** Commits the next change, and gives the state that it made. */
async function change(store: StateStore, from: SharedState = EMPTY_STATE): Promise<SharedState> {
  const next = flipped(from, 25)
  expect(await store.commit(next, entryOf(next))).toEqual({ ok: true })
  return next
}

async function all(store: StateStore): Promise<readonly AuditRecord[]> {
  return (await store.history({ limit: 100_000 })).records
}

/** A process that commits; resolves once it has been promised a generation. */
async function startCommitter(folder: string, generation: number) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'committer.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  whenOver(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text
  })
  const promised = () => Number(printed.split('\n').at(-2) ?? 0)
  await until(() => promised() >= generation || child.exitCode !== null, START_LIMIT_MS)
  expect(child.exitCode).toBeNull()
  return { process: child, pid: child.pid, promised }
}

/** Kills a process that commits, once it has been promised a generation; gives the last that it was promised. */
async function killAfter(folder: string, generation: number): Promise<number> {
  const child = await startCommitter(folder, generation)
  const gone = once(child.process, 'close')
  child.process.kill('SIGKILL')
  await gone
  return child.promised()
}

/** What one file of this process may hold: what goes beyond fails in the middle of the write, as on a full disk. */
async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  const set = (limit: number | 'unlimited') =>
    promisify(execFile)('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`])
  whenOver(() => set('unlimited'))
  await set(bytes)
}
