-- Read nonces in the order of their ends, behind one of them.
-- KEYS  nonces   ARGV  name ('' for none), its end, how many
-- Safe to send again: it only reads.
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZRANK', KEYS[1], ARGV[1])
  first = rank and rank + 1 or redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[2])
end
return redis.call('ZRANGE', KEYS[1], first, first + tonumber(ARGV[3]) - 1, 'WITHSCORES')
