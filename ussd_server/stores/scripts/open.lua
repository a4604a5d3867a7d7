-- Say how this store lays out its keys, where nobody has said so before; returns how it does.
-- KEYS  meta   ARGV  layout, buckets, whether a new store may be made
-- Safe to send again: what was said first stays.
if ARGV[3] == '1' then
  redis.call('HSETNX', KEYS[1], 'layout', ARGV[1])
  redis.call('HSETNX', KEYS[1], 'buckets', ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'layout', 'buckets')
