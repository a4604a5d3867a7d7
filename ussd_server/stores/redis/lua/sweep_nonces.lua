-- with fence
-- Delete nonces whose time is over; returns how many.
-- KEYS  nonces   ARGV  now, how many at most
-- Safe to send again: then the next ones go, and the first are counted by nobody.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, name in ipairs(over) do
  redis.call('ZREM', KEYS[1], name)
end
return #over
