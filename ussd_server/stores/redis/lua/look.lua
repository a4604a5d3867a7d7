-- with entries
-- Read who is next in each lane of a bucket.
-- KEYS  due...(one a lane) work
-- Returns {{msisdn, ready} a lane, {} where there is nothing}, and the keys of all of it that was set aside.
-- Safe to send again: it only reads, takes out who is nobody, and sets aside what is no list.
local heads, aside = {}, {}
for i = 1, #KEYS - 1 do
  local due = KEYS[i]
  repeat
    heads[i] = listed(2, 'ZRANGE', due, '0', '0', 'WITHSCORES')
    local msisdn = heads[i][1]
  until not msisdn or string.find(msisdn, '^%d+$') or redis.call('ZREM', due, msisdn) == 0
end
for i, key in ipairs(KEYS) do
  aside[i] = key .. SET_ASIDE
end
if redis.call('EXISTS', unpack(aside)) == 0 then
  return {heads, {}}
end
local there = {}
for _, key in ipairs(aside) do
  if redis.call('EXISTS', key) == 1 then
    there[#there + 1] = key
  end
end
return {heads, there}
