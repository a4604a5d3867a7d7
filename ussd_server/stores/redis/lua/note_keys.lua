-- with fence
-- Note what the keys of this store's servers are.
-- KEYS  meta   ARGV  what is noted before, after
-- Returns 1 where it is noted. Safe to send again: what is noted then is what it would note.
local noted = redis.call('HGET', KEYS[1], 'keys') or ''
if noted ~= ARGV[1] then
  return noted == ARGV[2] and 1 or 0
end
redis.call('HSET', KEYS[1], 'keys', ARGV[2])
return 1
