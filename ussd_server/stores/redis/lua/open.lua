-- Say how this store lays out its keys, where nobody has said so before; returns how it does.
-- KEYS  meta   ARGV  layout, buckets, whether a new store may be made, a new id, the one noted before or ''
-- One that is there without an id came back from before it had one, and gets that again.
-- Safe to send again: what was said first stays.
if ARGV[3] == '1' then
  local there = redis.call('HSETNX', KEYS[1], 'layout', ARGV[1]) == 0
  redis.call('HSETNX', KEYS[1], 'buckets', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'id', there and ARGV[5] ~= '' and ARGV[5] or ARGV[4])
end
return redis.call('HMGET', KEYS[1], 'layout', 'buckets', 'id')
