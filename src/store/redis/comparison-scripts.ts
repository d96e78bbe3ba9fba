// Scripts for the counts and examples of comparisons. The keys have the hash tag of scripts.ts. Each key expires, so that
// nothing has to be deleted.
//
//   {prefix}:stretches              sorted set: starts of periods by their expiry
//   {prefix}:counts:<start>         hash: entry's name → RouteCounts as JSON; the name is JSON too, [context, route, writer]
//   {prefix}:examples               sorted set: contexts by the expiry of their last example
//   {prefix}:examples:<context>     hash: id → StoredExample as JSON; an id is "digest of the fingerprint, digest"
//   {prefix}:example-ids:<context>  sorted set: ids by the time of the example
//
// All times are milliseconds since 1970, by the clock of Redis.

export const STRETCHES = 'stretches'
export const EXAMPLES = 'examples'
export const countsKey = (start: number): string => `counts:${start}`
export const examplesKey = (context: string): string => `examples:${context}`
export const exampleIdsKey = (context: string): string => `example-ids:${context}`

const BEGIN = `
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function whole(number) return string.format('%.0f', number) end

-- The writer sends the expiry. With a wrong clock it could be years ahead: it is limited by the clock of Redis.
local function endsAt(said, mostMs) return math.min(tonumber(said), nowMs + tonumber(mostMs)) end

local function enlist(index, member, at)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', whole(nowMs))
  redis.call('ZADD', index, whole(at), member)
  local last = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  redis.call('PEXPIREAT', index, whole(tonumber(last[2])))
end
`

/**
 * Replaces entries of the same name.
 *
 * KEYS: stretches, counts of the period
 * ARGV: start, expiry, longest retention, name, text, and so on, deadline
 * → 'done' | 'late'
 */
export const SAVE_COUNTS = `${BEGIN}
if nowMs > tonumber(ARGV[#ARGV]) then return 'late' end
local at = endsAt(ARGV[2], ARGV[3])
for i = 4, #ARGV - 1, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIREAT', KEYS[2], whole(at))
enlist(KEYS[1], ARGV[1], at)
return 'done'
`

/** KEYS: an index → its members that have not expired */
export const LISTED = `${BEGIN}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(nowMs), '+inf')
`

/**
 * The entries whose names match a filter, as `matchesFilter` does.
 *
 * KEYS: counts of a period
 * ARGV: prefix of a name, excluded suffix of a name
 * → texts
 */
export const COUNTS = `
local begin, exceptEnd = ARGV[1], ARGV[2]
local asked = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local isExcept = exceptEnd ~= '' and string.sub(name, -#exceptEnd) == exceptEnd
  if string.sub(name, 1, #begin) == begin and not isExcept then
    table.insert(asked, redis.call('HGET', KEYS[1], name))
  end
end
return asked
`

/**
 * Adds examples of a context and removes the surplus ones, as `selectExamples` does.
 *
 * KEYS: contexts, examples of the context, their ids
 * ARGV: context, retention, examples of a difference, differences of a context, then time, id, text, and so on
 */
export const SAVE_EXAMPLES = `${BEGIN}
local keptMs, ofOne, ofContext = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 5, #ARGV, 3 do
  redis.call('ZADD', KEYS[3], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2])
end
local ofEach, differences, newest = {}, 0, nil
local ids = redis.call('ZREVRANGE', KEYS[3], 0, -1, 'WITHSCORES')
for i = 1, #ids, 2 do
  local id, at = ids[i], tonumber(ids[i + 1])
  local of = string.match(id, '^%x+')
  local known = ofEach[of] or 0
  if known == ofOne or (known == 0 and differences == ofContext) or at <= nowMs - keptMs then
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  else
    if known == 0 then differences = differences + 1 end
    ofEach[of] = known + 1
    newest = newest or at
  end
end
if newest then
  local at = endsAt(newest + keptMs, keptMs)
  redis.call('PEXPIREAT', KEYS[2], whole(at))
  redis.call('PEXPIREAT', KEYS[3], whole(at))
  enlist(KEYS[1], ARGV[1], at)
end
return 'done'
`

/**
 * KEYS: ids of the examples of a context
 * ARGV: retention, the digest of a fingerprint or an empty text
 * → ids, the newest first
 */
export const EXAMPLE_IDS = `${BEGIN}
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. whole(nowMs - tonumber(ARGV[1])))
if ARGV[2] == '' then return ids end
local asked = {}
for _, id in ipairs(ids) do
  if string.match(id, '^%x+') == ARGV[2] then table.insert(asked, id) end
end
return asked
`

/** KEYS: examples of a context · ARGV: ids → texts, empty for an example that is gone */
export const EXAMPLE_TEXTS = `
local texts = {}
for _, id in ipairs(ARGV) do table.insert(texts, redis.call('HGET', KEYS[1], id) or '') end
return texts
`

/** Scripts that change nothing. */
export const COMPARISON_READS: readonly string[] = [LISTED, COUNTS, EXAMPLE_IDS, EXAMPLE_TEXTS]
