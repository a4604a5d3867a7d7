-- with fence entries
-- Let go of an entry until it is due.
-- KEYS  outbox due work   ARGV  msisdn id attempt due reason
-- Returns 1 where it was still this attempt. Safe to send again: it does the same, or another has it by then.
local packed = redis.pcall('HGET', KEYS[1], ARGV[2])
local entry = type(packed) == 'string' and entry_of(packed)
if not entry or entry[ATTEMPT] ~= tonumber(ARGV[3]) then
  return 0
end
let_go(KEYS[3], entry)
entry[DUE] = tonumber(ARGV[4])
entry[READY], entry[REASON] = entry[DUE], ARGV[5]
put(KEYS[1], ARGV[2], entry)
listed(2, 'ZADD', KEYS[2], ARGV[4], ARGV[1])
return 1
