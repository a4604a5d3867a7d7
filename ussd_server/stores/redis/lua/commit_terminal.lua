-- with fence
-- Replace a terminal's record.
-- KEYS  terminals   ARGV  id, replaced version, new value
-- Safe to send again: what is stored then has the new version, which no other commit ever has.
local stored = string.sub(redis.call('HGET', KEYS[1], ARGV[1]) or '', 1, 8)
if stored ~= ARGV[2] then
  return stored == string.sub(ARGV[3], 1, 8) and 1 or 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
