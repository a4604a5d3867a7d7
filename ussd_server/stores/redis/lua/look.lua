-- Read who is next in each lane of a bucket.
-- KEYS  due...(one a lane)   Returns {msisdn, ready} a lane, {} where there is nothing.
-- Safe to send again: it only reads, and takes out who is nobody.
local heads = {}
for i, due in ipairs(KEYS) do
  repeat
    heads[i] = redis.call('ZRANGE', due, '0', '0', 'WITHSCORES')
    local msisdn = heads[i][1]
  until not msisdn or string.find(msisdn, '^%d+$') or redis.call('ZREM', due, msisdn) == 0
end
return heads
