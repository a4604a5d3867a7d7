-- with fence
-- Say whose commit a request's answer goes with, before it is made.
-- KEYS  pointers pointing   ARGV  name, msisdn, expires
-- Returns 0 where it goes with another subscriber's. Safe to send again: it does the same.
local whose = redis.call('HGET', KEYS[1], ARGV[1])
if whose and whose ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 'GT', ARGV[3], ARGV[1])
return 1
