-- with fence entries
-- Hold an entry for longer, as the same attempt. One that was postponed is ready when it is due.
-- KEYS  outbox due   ARGV  msisdn id attempt lease
-- Safe to send again: it does the same.
local packed = redis.pcall('HGET', KEYS[1], ARGV[2])
local entry = type(packed) == 'string' and entry_of(packed)
if not entry or entry[ATTEMPT] ~= tonumber(ARGV[3]) or entry[READY] == entry[DUE] then
  return 0
end
entry[READY] = tonumber(ARGV[4])
put(KEYS[1], ARGV[2], entry)
listed(2, 'ZADD', KEYS[2], ARGV[4], ARGV[1])
return 1
