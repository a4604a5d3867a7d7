-- with entries
-- List again who has a record, as the list lost it.
-- KEYS  all | record...   ARGV  1 where these are all records of the bucket, 0 where not; msisdn...
-- Returns how many were not listed. What another program wrote there is set aside, where these are all.
-- Safe to send again: it does the same.
local many = redis.pcall('ZCARD', KEYS[1])
if type(many) ~= 'number' then
  if ARGV[1] == '0' or not find(many.err, '^WRONGTYPE') then
    return many
  end
  put_aside(string.match(KEYS[1], '^.*}:'), KEYS[1])
end
local found = 0
for i = 2, #KEYS do
  -- Nothing is written where nothing is missing: a Redis that is full would refuse that.
  if redis.call('EXISTS', KEYS[i]) == 1 and not redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    found = found + redis.call('ZADD', KEYS[1], '0', ARGV[i])
  end
end
return found
