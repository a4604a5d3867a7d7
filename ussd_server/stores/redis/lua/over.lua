-- Count what is over in a bucket.
-- KEYS  nonces expiring pointing   ARGV  now
-- Safe to send again: it only reads.
return {
  redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[1]),
  redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1]),
  redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[1]),
}
