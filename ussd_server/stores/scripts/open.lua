-- Say how this store lays out its keys, where nobody has said so before; returns how it does.
-- KEYS  meta   ARGV  layout, buckets, whether a new store may be made, what it is told from others by
-- Safe to send again: what was said first stays.
if ARGV[3] == '1' then
  redis.call('HSETNX', KEYS[1], 'layout', ARGV[1])
  redis.call('HSETNX', KEYS[1], 'buckets', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'id', ARGV[4])
end
return redis.call('HMGET', KEYS[1], 'layout', 'buckets', 'id')
