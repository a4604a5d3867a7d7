-- Read who is next in each lane of a bucket.
-- KEYS  due...(one a lane)   Returns {msisdn, ready} a lane, {} where there is nothing.
-- Safe to send again: it only reads.
local heads = {}
for i, due in ipairs(KEYS) do
  heads[i] = redis.call('ZRANGE', due, '0', '0', 'WITHSCORES')
end
return heads
