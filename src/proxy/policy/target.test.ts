import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Refusal } from './refusal.ts'
import { parseTarget } from './target.ts'

/** `path` with its query, or `refused`. */
function parsed(target: string, { method = 'GET', host = 'a' } = {}): string {
  const result = parseTarget(method, target, host)
  return result instanceof Refusal ? 'refused' : result.path + result.query
}

/** What attackers build paths of. */
const pieces = fc.constantFrom(
  ...['/', '//', '.', '..', '...', ';', '%2e', '%2E', '%252e', '%2f', '%5c', '%252f', '%25', '%00', '%0d%0a', '%7f'],
  ...[
    '%c0%af',
    '%e0%80%af',
    '%f8%80',
    '%e9',
    '%ef%bc%8f',
    '%61',
    '%4',
    '%',
    '%%32',
    '%u',
    '#',
    '\\',
    '?',
    '&',
    '=',
    '@',
    ':',
    '*',
  ],
  ...[
    'admin',
    'public',
    'a',
    'A',
    '~',
    '-',
    '_',
    '!',
    '[',
    ']',
    '{',
    '}',
    '|',
    '"',
    '<',
    '>',
    '^',
    '`',
    ' ',
    '\t',
    '\x00',
    '\x7f',
    '\x80',
    '\xff',
  ],
)
const rawTargets = fc.oneof(
  fc.array(pieces, { maxLength: 12 }).map((parts) => `/${parts.join('')}`),
  fc
    .string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) })
    .map((text) => `/${text}`),
)

describe('the normal form of a target', () => {
  test('is its own normal form', () => {
    fc.assert(
      fc.property(rawTargets, (target) => {
        const once = parsed(target)
        if (once !== 'refused') expect(parsed(once)).toBe(once)
      }),
      { numRuns: 5000 },
    )
  })

  test('never contains an empty or dot segment, a raw byte outside printable ASCII, a "#" or a "\\"', () => {
    fc.assert(
      fc.property(rawTargets, (target) => {
        const result = parseTarget('GET', target, 'a')
        if (result instanceof Refusal) return
        expect(result.path).toMatch(/^\/[!-~]*$/)
        expect(result.path).not.toMatch(/\/\/|[#\\?"<>^`{|}]|%(?![0-9A-F]{2})/)
        expect(result.path).not.toMatch(/\/\.{1,2}(?:[/;]|$)/)
        // A server that decodes the path once more must not find another path either.
        expect(decodeURIComponentLeniently(result.path)).not.toMatch(/\/\.{1,2}(?:[/;\\]|$)|\p{Cc}(?<![\x80-\x9f])/u)
        expect(result.query).toMatch(/^(?:\?[!-~]*)?$/)
      }),
      { numRuns: 5000 },
    )
  })

  test('reports every encoded separator that it contains', () => {
    fc.assert(
      fc.property(rawTargets, (target) => {
        const result = parseTarget('GET', target, 'a')
        if (result instanceof Refusal || result.hasEncodedSlash) return
        expect(result.path).not.toMatch(/%2F|%5C|%25(?:2F|5C|2E|00)/i)
      }),
      { numRuns: 5000 },
    )
  })

  test.each([
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a/b/', '/a/b/'],
    ['/a//b', '/a/b'],
    ['//a', '/a'],
    ['///', '/'],
    ['/./a', '/a'],
    ['/a/.', '/a/'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/a/../b', '/b'],
    ['/../../a', '/a'],
    ['/%2e%2E/a', '/a'],
    ['/%61%2D%7e', '/a-~'],
    ['/%e9t%c3%a9', '/%E9t%C3%A9'],
    ['/...', '/...'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a.b/..c', '/a.b/..c'],
    ['/a;x=1/b', '/a;x=1/b'],
    ['/a?b//../%2f', '/a?b//../%2f'],
    ['/a?', '/a?'],
    ["/!$&'()*+,;=:@[]~", "/!$&'()*+,;=:@[]~"],
    ['/a|b', '/a%7Cb'],
    ['/"<>^`{}', '/%22%3C%3E%5E%60%7B%7D'],
    ['/a|b?c|d"<>^`{}%', '/a%7Cb?c|d"<>^`{}%'],
    ['/100%', '/100%25'],
    ['/%', '/%25'],
    ['/%4', '/%254'],
    ['/%zz', '/%25zz'],
    ['/%{a}', '/%25%7Ba%7D'],
    ['/|/../b', '/b'],
    ['/%7c', '/%7C'],
  ])('%s is %s', (target, normal) => {
    expect(parsed(target)).toBe(normal)
  })

  test.each(
    [
      '/a#b',
      '/a?b#c',
      '/a\\b',
      '/a b',
      '/a?b c',
      '/a\x00',
      '/a\x7f',
      '/a?\x7f',
      '/\x80',
      '/a?\xff',
      '/%00',
      '/%0D%0a',
      '/%1f',
      '/%7F',
      '/%C0%AF',
      '/%c1%9c',
      '/%E0%80%AF',
      '/%F0%80%80%AF',
      '/%F8%80%80%80%AF',
      '/%FC%80%80%80%80%AF',
      '/..;/a',
      '/..;x=1/a',
      '/.;/a',
      '/a/..%2fb',
      '/a/..%5cb',
      '/%252e%252e/a',
      '/.%252e/a',
      '/%252e./a',
      '/..%3Bx/a',
      '/%2e.%3bx/a',
      '/..%253Bx/a',
      '/%2%35',
      '/%%32e',
      '/a%%32e',
      '/%%32%65%%32%65/a',
      '/a%%32fb',
      '/%2%65%2%65/a',
      '/%%C0%AF',
      '/%C0%%41F',
      '/%%30%30',
      '/%u002e%u002e/a',
      '/..;|/a',
      '/|/..;/a',
      'a',
      '@a',
      'a:80',
      '*',
      '*/x',
      '',
      'ftp://a/',
      'http:///x',
      'http:/a/x',
      '//',
    ].filter((target) => target !== '//'),
  )('%j does not exist', (target) => {
    expect(parsed(target)).toBe('refused')
  })
})

describe('a target in absolute-form', () => {
  test.each([
    ['http://a/x?y', '/x?y'],
    ['HTTP://A/x', '/x'],
    ['https://a/x', '/x'],
    ['http://a', '/'],
    ['http://a?y', '/?y'],
    ['http://a//x/../y', '/y'],
    ['http://b/', 'refused'],
    ['http://a:80/', '/'],
    ['http://a:/', '/'],
    ['https://a:443/', '/'],
    ['http://a:443/', 'refused'],
    ['https://a:80/', 'refused'],
    ['http://a:8080/', 'refused'],
    ['http://a:080/', 'refused'],
    ['http://a::80/', 'refused'],
    ['http://:80/', 'refused'],
    ['http://u@a/', 'refused'],
    ['http://a\\@b/', 'refused'],
    ['http://a@b/', 'refused'],
    ['http://a.b/', 'refused'],
    ['http://a#/../b', 'refused'],
    ['http://a\x00/', 'refused'],
  ])('%s with the Host a is parsed to %s', (target, expected) => {
    expect(parsed(target)).toBe(expected)
  })

  test('matches its Host with or without the default port of the scheme', () => {
    expect(parsed('http://a/x', { host: 'a:80' })).toBe('/x')
    expect(parsed('https://a/x', { host: 'a:443' })).toBe('/x')
    expect(parsed('https://a/x', { host: 'a:80' })).toBe('refused')
    expect(parsed('http://[::1]:80/x', { host: '[::1]' })).toBe('/x')
  })

  test('is refused without a Host', () => {
    expect(parsed('http://a/', { host: '' })).toBe('refused')
  })
})

describe('the target of OPTIONS', () => {
  test.each([
    ['*', '*'],
    ['http://a', '*'],
    ['http://a/', '/'],
    ['*/x', 'refused'],
  ])('%s is parsed to %s', (target, expected) => {
    expect(parsed(target, { method: 'OPTIONS' })).toBe(expected)
  })
})

test('parseTarget reports an encoded slash in every spelling', () => {
  const hasSlash = (target: string) => {
    const result = parseTarget('GET', target, 'a')
    return result instanceof Refusal || result.hasEncodedSlash
  }
  expect(['/a%2fb', '/a%2Fb', '/a%5cb', '/a%252fb', '/a%25%32%66b', '/a%255Cb', '/a%2500'].map(hasSlash)).not.toContain(
    false,
  )
  expect(['/a%20b', '/a%25b', '/a?x=%2f'].map(hasSlash)).not.toContain(true)
})

test('parseTarget takes less than 200 ms for the slowest targets of 8 KiB: no expression backtracks', () => {
  const worst = ['/%2e', '/..;', '%25', '//', '/.', '%2%', '/a%2f..', '-a'].map((part) =>
    `/${part.repeat(8192)}`.slice(0, 8192),
  )
  const startedAt = performance.now()
  for (const target of worst) parseTarget('GET', target, 'a')
  expect(performance.now() - startedAt).toBeLessThan(200)
})

function decodeURIComponentLeniently(path: string): string {
  return path.replace(/%([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
