-- with fence entries
-- Remove an entry that is done with, and let the next one of its lane go.
-- KEYS  outbox due work   ARGV  msisdn id
-- Returns when the lane's next entry can be claimed, -1 for never, false where it is gone. Safe to send again.
local entries, damaged = outbox_of(KEYS[1])
local entry = entries[ARGV[2]]
if not entry then
  return false
end
let_go(KEYS[3], entry)
redis.call('HDEL', KEYS[1], ARGV[2])
entries[ARGV[2]] = nil
return schedule(entries, entry[LANE], KEYS[2], ARGV[1], damaged)
