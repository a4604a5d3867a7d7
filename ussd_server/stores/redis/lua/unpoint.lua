-- with fence
-- Take back that a request's answer goes with this subscriber's commits.
-- KEYS  pointers pointing   ARGV  name, msisdn
-- Safe to send again: then there is none, or another subscriber's.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
