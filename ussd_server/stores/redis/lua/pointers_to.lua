-- Return the names of the requests that are answered with a subscriber's commits.
-- KEYS  pointers   ARGV  msisdn
-- Safe to send again: it only reads.
local found, flat = {}, redis.pcall('HGETALL', KEYS[1])
if flat.err then
  return {} -- what another program wrote there leads to nobody
end
for i = 1, #flat, 2 do
  if flat[i + 1] == ARGV[1] then
    found[#found + 1] = flat[i]
  end
end
return found
