// The hash chain of the audit log inside Redis, so that reading the newest hash and adding the next entry are atomic.
// Redis offers only SHA-1 to its scripts: this is an implementation of SHA-256 (FIPS 180-4).

/**
 * Lua: `chained(entry, digest)` returns the text of an entry with the chain fields that follow the newest chained entry of
 * AUDIT, as `addChainFields` of audit-chain.ts does; without them if the hash cannot be computed. `isEntry(member, entry)`
 * returns whether a member of AUDIT is this entry, with or without chain fields.
 */
export const CHAIN = `
local SQUARE_ROOTS = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}
local CUBE_ROOTS = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

local function sha256(text)
  local band, bnot, bxor, ror, shift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit
  local bits = #text * 8
  local length = string.char(0, 0, 0, 0, 0, 0, math.floor(bits / 256), bits % 256)
  text = text .. string.char(128) .. string.rep(string.char(0), (55 - #text) % 64) .. length
  local hash = { unpack(SQUARE_ROOTS) }
  for start = 1, #text, 64 do
    local words = {}
    for i = 1, 16 do
      local one, two, three, four = string.byte(text, start + 4 * i - 4, start + 4 * i - 1)
      words[i] = tobit(one * 16777216 + two * 65536 + three * 256 + four)
    end
    for i = 17, 64 do
      local x, y = words[i - 15], words[i - 2]
      words[i] = tobit(words[i - 16] + bxor(ror(x, 7), ror(x, 18), shift(x, 3))
        + words[i - 7] + bxor(ror(y, 17), ror(y, 19), shift(y, 10)))
    end
    local a, b, c, d, e, f, g, h = unpack(hash)
    for i = 1, 64 do
      local first = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + CUBE_ROOTS[i] + words[i]
      local second = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
      a, b, c, d, e, f, g, h = tobit(first + second), a, b, c, tobit(d + first), e, f, g
    end
    for i, value in ipairs({ a, b, c, d, e, f, g, h }) do hash[i] = tobit(hash[i] + value) end
  end
  local digits = ''
  for i = 1, 8 do digits = digits .. bit.tohex(hash[i]) end
  return digits
end

-- A quotation mark inside a string of the entry has a backslash before it, so that no string can look like this.
local LAST_FIELDS = '^(.*),"previous":[nul"%x]+,"hash":"(%x+)"}$'

local function newestHash()
  local page = 100
  for from = 0, redis.call('ZCARD', AUDIT), page do
    for _, member in ipairs(redis.call('ZREVRANGE', AUDIT, from, from + page - 1)) do
      local _, hash = string.match(member, LAST_FIELDS)
      if hash and #hash == 64 then return hash end
    end
  end
end

local function chained(entry, digest)
  local previous = newestHash()
  -- Without the library of bit operations the log has no chain; a change is still possible.
  local isDone, hash = pcall(sha256, (previous or '') .. ' ' .. digest)
  if not isDone then return entry end
  previous = previous and '"' .. previous .. '"' or 'null'
  return string.sub(entry, 1, -2) .. ',"previous":' .. previous .. ',"hash":"' .. hash .. '"}'
end

local function isEntry(member, entry)
  local text = string.sub(member, 18)
  return text == entry or string.match(text, LAST_FIELDS) == string.sub(entry, 1, -2)
end
`
