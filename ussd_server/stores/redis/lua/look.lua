-- Read who is next in each lane of a bucket.
-- KEYS  due...(one a lane)   ARGV  keys that list who has a record, what was set aside; how much of that is told
-- Returns {{msisdn, ready} a lane, {} where there is nothing}, 2 where who has a record is no list (`relist.lua`), 1 where
-- any other is none (`mend.lua` makes it one), else 0, and the keys of what was set aside, false where that cannot be told
-- now.
-- Safe to send again: it only reads, and takes out who is nobody and what is gone.
local heads, broken = {}, 0
for i = 1, #KEYS do
  local due, msisdn = KEYS[i], nil
  repeat
    heads[i] = redis.pcall('ZRANGE', due, '0', '0', 'WITHSCORES')
    if heads[i].err then
      if not string.find(heads[i].err, '^WRONGTYPE') then
        return heads[i]
      end
      heads[i], broken = {}, 1
    end
    msisdn = heads[i][1]
  until not msisdn or string.find(msisdn, '^%d+$') or redis.call('ZREM', due, msisdn) == 0
end
-- The others are none of KEYS, as Redis would have a look wait of which one key is there and another is not, while a slot
-- of a Cluster is being moved.
local index, there = ARGV[2], {}
local aside, all = redis.pcall('ZRANGE', index, '0', ARGV[3] - 1), redis.pcall('ZCARD', ARGV[1])
if aside.err and string.find(aside.err, '^WRONGTYPE') then
  broken = 1
end
if type(all) ~= 'number' and string.find(all.err, '^WRONGTYPE') then
  broken = 2
end
if aside.err then
  return {heads, broken, false}
end
for _, key in ipairs(aside) do
  -- Two keys, as of one alone Redis may say that it is gone where it is at the slot's other server.
  local both = redis.pcall('EXISTS', index, key)
  if type(both) ~= 'number' then
    return {heads, broken, false}
  elseif both == 2 then
    there[#there + 1] = key
  else
    redis.call('ZREM', index, key)
  end
end
return {heads, broken, there}
