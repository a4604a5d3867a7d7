-- List again who has a record, as the list lost it.
-- KEYS  all | record...   ARGV  msisdn...
-- Returns how many were not listed. Safe to send again: it does the same.
local found = 0
for i, msisdn in ipairs(ARGV) do
  -- Nothing is written where nothing is missing: a Redis that is full would refuse that.
  if redis.call('EXISTS', KEYS[i + 1]) == 1 and not redis.call('ZSCORE', KEYS[1], msisdn) then
    found = found + redis.call('ZADD', KEYS[1], 0, msisdn)
  end
end
return found
