-- with fence
-- Remember a nonce until its time is over.
-- KEYS  nonces   ARGV  when that is, name
-- Returns 1 where it was not remembered. Safe to send again: then it is, which may be its own doing.
return redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[2])
