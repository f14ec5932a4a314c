package redis

import goredis "github.com/redis/go-redis/v9"

// KEYS of every script: meta, pos, last, rows, sample, lease.
//
// pos holds "token cursor base" for each partition. A value of rows, and the
// totals in meta, begin with their tag. The length of a tag is an argument,
// never a constant here.

var claimScript = goredis.NewScript(`
local field, fresh, base, fallback, floor = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
if not incarnation then
  incarnation = fresh
  redis.call('HSET', KEYS[1], 'incarnation', incarnation)
end
local token, cursor, known = '0', nil, nil
local pos = redis.call('HGET', KEYS[2], field)
if pos then
  token, cursor, known = string.match(pos, '^(%d+) (%d+) (%d+)$')
end
if tonumber(base) < 0 then base = known or fallback end
cursor = cursor or base
local first, last = '0', '0'
if tonumber(cursor) < tonumber(floor) then
  first, last = cursor, floor
  cursor = floor
  redis.call('HSET', KEYS[1], 'gap ' .. field, first .. ' ' .. last)
end
token = string.format('%.0f', tonumber(token) + 1)
redis.call('HSET', KEYS[2], field, token .. ' ' .. cursor .. ' ' .. base)
return {incarnation, token, cursor, base, first, last, redis.call('HGET', KEYS[3], field)}
`)

// ARGV: incarnation, field, token, first, end, pairs, record, sampling, tag
// size, number of writes, then kind, id, expected tag, value of each, then
// index and value of each slot. An empty tag expects nothing, an empty value
// removes.
var foldScript = goredis.NewScript(`
local field, token, first, last = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return {'NOMODEL'} end
local pos = redis.call('HGET', KEYS[2], field)
if not pos then return {'NOMODEL'} end
local stored, cursor, base = string.match(pos, '^(%d+) (%d+) (%d+)$')
if tonumber(stored) > token then return {'FENCED'} end
local at = tonumber(cursor)
if at >= last then return {'DUP', cursor, redis.call('HGET', KEYS[3], field)} end
if at > first then return {'CUT', cursor, redis.call('HGET', KEYS[3], field)} end
if at < first then return {'BEHIND', cursor} end
if ARGV[8] == '1' then
  local lease = redis.call('GET', KEYS[6])
  if lease and string.sub(lease, 1, 1) == 'F' then return {'WAIT'} end
end
local tag, writes = tonumber(ARGV[9]), tonumber(ARGV[10])
local hash = {c = KEYS[4], t = KEYS[1]}
local differ = {'CONFLICT'}
for i = 0, writes - 1 do
  local kind, id, expect = ARGV[11 + 4 * i], ARGV[12 + 4 * i], ARGV[13 + 4 * i]
  local value = redis.call('HGET', hash[kind], id)
  if string.sub(value or '', 1, tag) ~= expect then
    differ[#differ + 1] = kind
    differ[#differ + 1] = id
    differ[#differ + 1] = value or ''
  end
end
if #differ > 1 then return differ end
for i = 0, writes - 1 do
  local kind, id, value = ARGV[11 + 4 * i], ARGV[12 + 4 * i], ARGV[14 + 4 * i]
  if value == '' then
    redis.call('HDEL', hash[kind], id)
  else
    redis.call('HSET', hash[kind], id, value)
  end
end
for i = 11 + 4 * writes, #ARGV, 2 do
  redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[2], field, ARGV[3] .. ' ' .. ARGV[5] .. ' ' .. base)
local version = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'version', 1))
local pairs = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'pairs', ARGV[6]))
redis.call('HSET', KEYS[3], field, version .. ' ' .. ARGV[7])
local ledger = redis.call('HGET', KEYS[1], 'ledger')
return {'OK', version, pairs, string.sub(ledger or '', 1, tag)}
`)

// ARGV: holder, milliseconds, freeze. A frozen lease begins with F.
var leaseScript = goredis.NewScript(`
local held = redis.call('GET', KEYS[6])
if held and string.sub(held, 2) ~= ARGV[1] then return 0 end
local mark = 'L'
if ARGV[3] == '1' then mark = 'F' end
redis.call('SET', KEYS[6], mark .. ARGV[1], 'PX', ARGV[2])
return 1
`)

// ARGV: holder.
var releaseScript = goredis.NewScript(`
local held = redis.call('GET', KEYS[6])
if held and string.sub(held, 2) == ARGV[1] then redis.call('DEL', KEYS[6]) end
return 1
`)

// ARGV: incarnation, expected tag of the sample, tag size, sample, ledger,
// then id and value of each row.
var initScript = goredis.NewScript(`
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 'NOMODEL' end
local sample = redis.call('HGET', KEYS[1], 'sample')
if string.sub(sample or '', 1, tonumber(ARGV[3])) ~= ARGV[2] then return 'CONFLICT' end
if redis.call('HEXISTS', KEYS[1], 'ledger') == 1 or redis.call('EXISTS', KEYS[4]) == 1 then return 'CONFLICT' end
redis.call('HSET', KEYS[1], 'sample', ARGV[4], 'ledger', ARGV[5])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
redis.call('UNLINK', KEYS[5])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 'OK'
`)

// ARGV: expected incarnation, empty for none; then for each of the five hashes
// the number of its fields, and field and value of each.
var restoreScript = goredis.NewScript(`
if (redis.call('HGET', KEYS[1], 'incarnation') or '') ~= ARGV[1] then return 0 end
redis.call('UNLINK', unpack(KEYS))
local at = 2
for key = 1, 5 do
  local fields = tonumber(ARGV[at])
  for i = at + 1, at + 2 * fields, 2 do redis.call('HSET', KEYS[key], ARGV[i], ARGV[i + 1]) end
  at = at + 2 * fields + 1
end
return 1
`)
