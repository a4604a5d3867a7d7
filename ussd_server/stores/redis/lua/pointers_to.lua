-- Return the names of requests that are answered with these subscribers' commits, of one piece of all pointers.
-- KEYS  pointers   ARGV  cursor, about how many are looked at, msisdn...
-- Returns {the next cursor, '0' at the end; name, msisdn, ...}. Safe to send again: it only reads.
local piece = redis.pcall('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if piece.err then
  return {'0', {}} -- what another program wrote there leads to nobody
end
local wanted = {}
for i = 3, #ARGV do
  wanted[ARGV[i]] = true
end
local found, flat = {}, piece[2]
for i = 1, #flat, 2 do
  if wanted[flat[i + 1]] then
    found[#found + 1] = flat[i]
    found[#found + 1] = flat[i + 1]
  end
end
return {piece[1], found}
