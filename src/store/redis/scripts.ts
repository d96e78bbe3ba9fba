// The scripts that run inside Redis, each atomically.
//
// All keys have one hash tag, so that a Cluster stores them on one node:
//
//   {prefix}:state     hash: `generation`, and `text`, the state as JSON
//   {prefix}:audit     sorted set: member "position JSON", score position; a position is microseconds since 1970
//   {prefix}:dropped   how many entries were removed because of the limit
//   {prefix}:fleet     hash: id → "milliseconds JSON", the last heartbeat and its time
//   {prefix}:flags     hash: `text` and `at`, flags of an Unleash
//   {prefix}:left      hash: id → milliseconds, gateways that left or were removed
//   {prefix}:settling  exists for a moment after a restore
//   {prefix}:news      the channel: "state␊generation␊audit member␊state as JSON", "report␊JSON" or "left␊id"
//
// and the keys of comparison-scripts.ts.
//
// The audit log is a sorted set and not a stream. A stream rejects entries that are older than its newest one, so the entries
// of a lost log could not be inserted before newer entries.
import { CHAIN } from './chain-script.ts'
import { COMPARISON_READS } from './comparison-scripts.ts'

/** The channel. */
export const NEWS = 'news'
export const KEYS = ['state', 'audit', 'dropped', 'fleet', 'flags', 'settling', 'left', NEWS] as const

const BEGIN = `
local STATE, AUDIT, DROPPED, FLEET, FLAGS, SETTLING, LEFT, NEWS = unpack(KEYS)
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function whole(number) return string.format('%.0f', number) end

local function generation()
  local kept = redis.call('HGET', STATE, 'generation')
  if not kept then return 0 end
  return tonumber(kept) or error('the stored generation is not a number')
end

local function trim(limit)
  local over = redis.call('ZCARD', AUDIT) - limit
  if over > 0 then
    redis.call('ZREMRANGEBYRANK', AUDIT, 0, over - 1)
    redis.call('INCRBY', DROPPED, over)
  end
end

local function append(entry, limit)
  local position = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local newest = redis.call('ZREVRANGE', AUDIT, 0, 0, 'WITHSCORES')
  if newest[2] and tonumber(newest[2]) >= position then position = tonumber(newest[2]) + 1 end
  local member = string.format('%016.0f', position) .. ' ' .. entry
  redis.call('ZADD', AUDIT, whole(position), member)
  trim(limit)
  return member
end
`

/** The beginning of a script that appends to the audit log with the hash chain. */
const BEGIN_APPENDING = `${BEGIN}${CHAIN}`

/**
 * Reads what has changed since the caller's last read.
 *
 * ARGV: generation, SHA-1 of its text, newest known position, entries that Redis must have
 * → seconds, microseconds, generation, text if it differs, dropped, how many of the entries are missing,
 *   newer entries, the newest first
 */
export const LOOK = `${BEGIN}
local there = generation()
local text = redis.call('HGET', STATE, 'text') or ''
if there == tonumber(ARGV[1]) and (there == 0 or redis.sha1hex(text) == ARGV[2]) then text = '' end
local missing = 0
for i = 4, #ARGV do
  if not redis.call('ZSCORE', AUDIT, ARGV[i]) then missing = missing + 1 end
end
local newer = redis.call('ZREVRANGEBYSCORE', AUDIT, '+inf', '(' .. ARGV[3], 'LIMIT', 0, 1000)
return { time[1], time[2], whole(there), text, redis.call('GET', DROPPED) or '0', whole(missing), newer }
`

/**
 * The compare-and-set. If the generation differs but the entry exists, an earlier try of this change succeeded and its reply
 * was lost.
 *
 * ARGV: audit limit, generation, text, entry, the digest of its content, the deadline in milliseconds
 * → one of
 *   'done', the audit member
 *   'late'
 *   'settling'
 *   'conflict', the generation in Redis, its text
 */
export const COMMIT = `${BEGIN_APPENDING}
if nowMs > tonumber(ARGV[6]) then return { 'late' } end
if redis.call('EXISTS', SETTLING) == 1 then return { 'settling' } end
local there = generation()
if there ~= tonumber(ARGV[2]) - 1 then
  for _, member in ipairs(redis.call('ZREVRANGE', AUDIT, 0, 99)) do
    if isEntry(member, ARGV[4]) then return { 'done', member } end
  end
  return { 'conflict', whole(there), redis.call('HGET', STATE, 'text') or '' }
end
redis.call('HSET', STATE, 'generation', ARGV[2], 'text', ARGV[3])
local member = append(chained(ARGV[4], ARGV[5]), tonumber(ARGV[1]))
redis.call('PUBLISH', NEWS, 'state\\n' .. ARGV[2] .. '\\n' .. member .. '\\n' .. ARGV[3])
return { 'done', member }
`

/**
 * Adds each missing audit entry. Writes the state if it is newer than the one in Redis and was merged with it. Idempotent, also
 * when several gateways run it. Afterwards no gateway commits for a moment: another gateway may know a newer state.
 *
 * ARGV: audit limit, generation, text, dropped, milliseconds to settle, text of flags, their time, the generation that the
 *   state was merged with, entries
 * → the generation before, how many entries were added, the generation now, its text
 */
export const RESTORE = `${BEGIN}
local found = generation()
local limit = tonumber(ARGV[1])
local oldest = redis.call('ZRANGE', AUDIT, 0, 0, 'WITHSCORES')
local isFull = redis.call('ZCARD', AUDIT) >= limit
local added = 0
for i = 9, #ARGV do
  local position = tonumber(string.sub(ARGV[i], 1, 16))
  -- An entry that the limit has removed is not added again.
  if not (isFull and position < tonumber(oldest[2])) then
    added = added + redis.call('ZADD', AUDIT, whole(position), ARGV[i])
  end
end
if tonumber(redis.call('GET', DROPPED) or '0') < tonumber(ARGV[4]) then redis.call('SET', DROPPED, ARGV[4]) end
trim(limit)
if ARGV[6] ~= '' and redis.call('EXISTS', FLAGS) == 0 then redis.call('HSET', FLAGS, 'text', ARGV[6], 'at', ARGV[7]) end
if tonumber(ARGV[2]) > found and tonumber(ARGV[8]) == found then
  redis.call('HSET', STATE, 'generation', ARGV[2], 'text', ARGV[3])
  redis.call('SET', SETTLING, '1', 'PX', ARGV[5])
  redis.call('PUBLISH', NEWS, 'state\\n' .. ARGV[2] .. '\\n\\n' .. ARGV[3])
end
return { whole(found), whole(added), whole(generation()), redis.call('HGET', STATE, 'text') or '' }
`

/** ARGV: audit limit, entry, the digest of its content, the deadline in milliseconds → the audit member | 'late' */
export const RECORD = `${BEGIN_APPENDING}
if nowMs > tonumber(ARGV[4]) then return 'late' end
return append(chained(ARGV[2], ARGV[3]), tonumber(ARGV[1]))
`

/** ARGV: upper bound of the positions, limit → dropped, entries, the newest first */
export const HISTORY = `${BEGIN}
local page = redis.call('ZREVRANGEBYSCORE', AUDIT, ARGV[1], '-inf', 'LIMIT', 0, ARGV[2])
return { redis.call('GET', DROPPED) or '0', page }
`

/** ARGV: id, heartbeat */
export const BEAT = `${BEGIN}
redis.call('HSET', FLEET, ARGV[1], whole(nowMs) .. ' ' .. ARGV[2])
redis.call('HDEL', LEFT, ARGV[1])
redis.call('PUBLISH', NEWS, 'report\\n' .. ARGV[2])
return 'done'
`

/** ARGV: id */
export const LEAVE = `${BEGIN}
redis.call('HDEL', FLEET, ARGV[1])
redis.call('HSET', LEFT, ARGV[1], whole(nowMs))
redis.call('PUBLISH', NEWS, 'left\\n' .. ARGV[1])
return 'done'
`

/**
 * ARGV: milliseconds of silence after which a gateway is removed
 * → a list of milliseconds of silence and heartbeat in turn; a list of the ids of gateways that left or were removed
 */
export const MEMBERS = `${BEGIN}
local all = redis.call('HGETALL', FLEET)
local members = {}
for i = 1, #all, 2 do
  local at, report = string.match(all[i + 1], '^(%d+) (.*)$')
  local silentMs = at and nowMs - tonumber(at)
  if at and silentMs <= tonumber(ARGV[1]) then
    table.insert(members, whole(math.max(0, silentMs)))
    table.insert(members, report)
  else
    redis.call('HDEL', FLEET, all[i])
  end
end
local left = {}
local tombstones = redis.call('HGETALL', LEFT)
for i = 1, #tombstones, 2 do
  if nowMs - tonumber(tombstones[i + 1]) <= tonumber(ARGV[1]) then table.insert(left, tombstones[i])
  else redis.call('HDEL', LEFT, tombstones[i]) end
end
return { members, left }
`

/** ARGV: text, its time */
export const KEEP_FLAGS = `${BEGIN}
if tonumber(ARGV[2]) >= tonumber(redis.call('HGET', FLAGS, 'at') or '0') then
  redis.call('HSET', FLAGS, 'text', ARGV[1], 'at', ARGV[2])
end
return 'done'
`

/** → text and its time, or two empty texts */
export const KEPT_FLAGS = `${BEGIN}
return { redis.call('HGET', FLAGS, 'text') or '', redis.call('HGET', FLAGS, 'at') or '' }
`

/** Scripts that change nothing: their success does not show that Redis accepts writes. */
export const READS: ReadonlySet<string> = new Set([LOOK, HISTORY, KEPT_FLAGS, MEMBERS, ...COMPARISON_READS])
