-- with fence entries
-- Take what is due first of each of these subscribers, in one lane, and hold it.
-- KEYS  work due messages' due outbox...   ARGV  now, end of the lease, lane, consumer, name of this claim,
--       how many more to tell of, msisdn...
-- Returns what was claimed {msisdn id attempt due kind expires tried data ready}..., and {msisdn, ready, ...} of who is
-- next.
-- Safe to send again: what this very claim took is told again, as the same attempt.
local work, due, messages = KEYS[1], KEYS[2], KEYS[3]
local now, lease, lane = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local consumer, claim = ARGV[4], ARGV[5]

local claimed = {}
for i = 7, #ARGV - 1 do
  local msisdn, outbox = ARGV[i], KEYS[i - 3]
  local entries, damaged = outbox_of(outbox)
  if damaged then
    let_go_of_lost(work, msisdn, entries)
  end
  local id = head(entries, lane)
  local entry = id and entries[id]
  if entry then
    local ready = entry[READY]
    local again = entry[CLAIM] == claim
    if ready <= now and not again then
      hold(work, consumer, claim, lease, msisdn, id, entry)
      put(outbox, id, entry)
    end
    if ready <= now or again then
      claimed[#claimed + 1] = {msisdn, id, entry[ATTEMPT], entry[DUE], entry[KIND], entry[EXPIRES], entry[TRIED],
                               entry[DATA], ready}
    end
  end
  schedule(entries, lane, due, msisdn)
  if damaged and lane ~= MESSAGES then
    schedule(entries, MESSAGES, messages, msisdn) -- that is where it is claimed, whichever lane it was in
  end
end
return {claimed, listed(2, 'ZRANGE', due, '0', ARGV[6] - 1, 'WITHSCORES')}
