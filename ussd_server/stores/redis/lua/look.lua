-- Read who is next in each lane of a bucket.
-- KEYS  due...(one a lane) work
-- Returns {{msisdn, ready} a lane, {} where there is nothing}, 1 where any of these is no list (`mend.lua` makes it one),
-- and the keys of all of it that was set aside. Safe to send again: it only reads, and takes out who is nobody.
local heads, broken, aside = {}, 0, {}
for i = 1, #KEYS - 1 do
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
for i, key in ipairs(KEYS) do
  aside[i] = key .. ':set-aside'
end
if redis.call('EXISTS', unpack(aside)) == 0 then
  return {heads, broken, {}}
end
local there = {}
for _, key in ipairs(aside) do
  if redis.call('EXISTS', key) == 1 then
    there[#there + 1] = key
  end
end
return {heads, broken, there}
