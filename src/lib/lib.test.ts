import { describe, expect, it } from 'vitest'
import { BodyTooLong, readUpTo } from './bounded-read.ts'
import { errorCode, isMissing } from './file-errors.ts'
import { LruMap } from './lru-map.ts'
import { rejectAfter, withTimeout } from './timeout.ts'
import { TokenBucket } from './token-bucket.ts'

const never = new Promise<string>(() => {})

describe('withTimeout', () => {
  it('returns the result of work that ends in time, and the fallback otherwise', async () => {
    expect(await withTimeout(1_000, Promise.resolve('done'), 'late')).toBe('done')
    expect(await withTimeout(1, never, 'late')).toBe('late')
  })

  it('throws the error of the work', async () => {
    await expect(withTimeout(1_000, Promise.reject(new Error('broken')), 'late')).rejects.toThrow('broken')
  })
})

describe('rejectAfter', () => {
  it('throws at the limit, and returns a result of undefined as it is', async () => {
    await expect(rejectAfter(1, never)).rejects.toThrow('no answer within 1 ms')
    expect(await rejectAfter(1_000, Promise.resolve(undefined))).toBeUndefined()
  })
})

describe('TokenBucket', () => {
  it('gives its capacity at once, and then one token per refill time', () => {
    const bucket = new TokenBucket(2, 1_000, 0)
    expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([0, 0, 1_000])
    expect([bucket.take(500), bucket.take(1_000), bucket.take(1_000)]).toEqual([500, 0, 1_000])
    expect([bucket.take(99_000), bucket.take(99_000), bucket.take(99_000)]).toEqual([0, 0, 1_000])
  })
})

describe('LruMap', () => {
  it('evicts the entry that was used least recently', () => {
    const map = new LruMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    map.get('a')
    map.set('c', 3)
    expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([1, undefined, 3, 2])
  })
})

describe('readUpTo', () => {
  it('returns a body of at most the limit, and throws for one byte more', async () => {
    const body = async function* () {
      yield Buffer.from('ab')
      yield Buffer.from('c')
    }
    expect((await readUpTo(3, body())).toString()).toBe('abc')
    expect((await readUpTo(3, null)).length).toBe(0)
    await expect(readUpTo(2, body())).rejects.toThrow(BodyTooLong)
  })
})

describe('isMissing', () => {
  it('is true for ENOENT alone', () => {
    const error = (code: unknown) => Object.assign(new Error('x'), { code })
    expect([isMissing(error('ENOENT')), isMissing(error('EACCES')), isMissing('ENOENT')]).toEqual([true, false, false])
    expect([errorCode(error('EACCES')), errorCode(error(7)), errorCode(undefined)]).toEqual([
      'EACCES',
      undefined,
      undefined,
    ])
  })
})
