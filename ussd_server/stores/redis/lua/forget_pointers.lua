-- with fence
-- Delete pointers to answers whose time is over.
-- KEYS  pointers pointing   ARGV  now, how many at most
-- Safe to send again: then the next ones go.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
return 1
