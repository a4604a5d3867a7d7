-- with fence
-- Delete a kept answer whose time is over.
-- KEYS  answers expiring   ARGV  msisdn, name, now
-- Returns how many were. Safe to send again: then it is gone, and counted by nobody.
local expires = redis.call('ZSCORE', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
if not expires or tonumber(expires) > tonumber(ARGV[3]) then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[2])
return 1
