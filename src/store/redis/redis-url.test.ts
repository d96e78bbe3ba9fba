import { describe, expect, it } from 'vitest'
import { InvalidRedisUrl, parseRedisUrl } from './redis-url.ts'

describe('a Redis URL', () => {
  it.each([
    ['redis://localhost', { kind: 'single', node: { host: 'localhost', port: 6379 }, db: 0, isTls: false }],
    ['redis://10.0.0.1:7000/3', { kind: 'single', node: { host: '10.0.0.1', port: 7000 }, db: 3 }],
    ['redis://[::1]:7000', { kind: 'single', node: { host: '::1', port: 7000 } }],
    ['rediss://user:p%40ss:w%2Frd@cache.example/1', { isTls: true, username: 'user', password: 'p@ss:w/rd', db: 1 }],
    ['redis://:secret@h', { username: undefined, password: 'secret' }],
    [
      'redis+sentinel://u:p@h1:26379,h2/mymaster/2?sentinelUsername=s&sentinelPassword=t%26',
      {
        kind: 'sentinel',
        sentinels: [
          { host: 'h1', port: 26379 },
          { host: 'h2', port: 26379 },
        ],
        master: 'mymaster',
        db: 2,
        username: 'u',
        password: 'p',
        sentinelUsername: 's',
        sentinelPassword: 't&',
      },
    ],
    [
      'rediss+cluster://:p@h1,h2:6380',
      {
        kind: 'cluster',
        isTls: true,
        nodes: [
          { host: 'h1', port: 6379 },
          { host: 'h2', port: 6380 },
        ],
      },
    ],
  ])('is parsed: %s', (url, address) => {
    expect(parseRedisUrl(url)).toMatchObject(address)
  })

  it.each([
    ['', 'is not a Redis URL'],
    ['localhost:6379', 'is not a Redis URL'],
    ['http://h', 'is not a Redis URL'],
    ['redis://', 'is not a Redis URL'],
    ['redis+sentinels://h/m', 'is not a Redis URL'],
    ['redis://h:0', 'has "h:0" where a host and a port'],
    ['redis://h:70000', 'has "h:70000" where a host and a port'],
    ['redis://h:port', 'has "h:port" where a host and a port'],
    ['redis://::1', 'has "::1" where a host and a port'],
    ['redis://h1,h2', 'has several hosts; write redis+sentinel://'],
    ['redis://h1,/0', 'has "" where a host'],
    ['redis://h/zero', 'must end with the number of a database'],
    ['redis://h?tls=1', 'has a query'],
    ['redis://u:100%@h', 'has a "%" in its user or password'],
    ['redis+sentinel://h:26379', 'must name the master'],
    ['redis+sentinel://h/m/0/x', 'must name the master'],
    ['redis+sentinel://h/m?quorum=2', 'may have sentinelUsername and sentinelPassword'],
    ['redis+cluster://h/1', 'names a database, and a Cluster has only one'],
  ])('is rejected: %j', (url, why) => {
    expect(() => parseRedisUrl(url)).toThrow(InvalidRedisUrl)
    expect(() => parseRedisUrl(url)).toThrow(why)
  })

  it.each([
    'redis://user:s3cr3t@h/x',
    'redis://user:s3cr3t@h:99999',
    'redis:/user:s3cr3t@h',
    'user:s3cr3t@h',
    'redis://user:s3cr3t%@h',
    'redis://user:s3/cr3t@h',
    'redis+sentinel://user:s3cr3t@h/m?sentinelPassword=s3cr3t&x=s3cr3t',
    'redis+sentinel:h/m?sentinelPassword=s3cr3t',
    'redis://h/0?password=s3cr3t',
    'redis://h/0#s3cr3t',
    'https://h/0?token=s3cr3t',
  ])('is never part of an error with its password: %s', (url) => {
    const error = catchError(() => parseRedisUrl(url))
    expect(String(error)).not.toMatch(/s3|cr3t/)
    expect(parseRedisUrl('redis://user:s3cr3t@h:1/2').shown).toBe('redis://h:1/2')
  })
})

function catchError(task: () => unknown): unknown {
  try {
    task()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
