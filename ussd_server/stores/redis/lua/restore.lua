-- with fence entries
-- Let what there is of a subscriber be just this.
-- KEYS  as of commit; brought
-- ARGV  new value, msisdn, how many notes, entries, dead letters, answers; then each of these:
--       note; id lane due ready attempt reason kind expires tried data; id at attempt reason kind expires data;
--       name, value, expires; at the end whether a copy has brought it
-- Returns the names of the answers that were there. Safe to send again: then it has this version, and stays.
local record, journal, outbox, dead, answers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local all, expiring, work, given_up, kinds, LANE_KEYS = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], 11
local msisdn = ARGV[2]
if redis.call('GETRANGE', record, 0, 7) == string.sub(ARGV[1], 1, 8) then
  return {}
end
local before = redis.call('HKEYS', answers)
redis.call('ZADD', all, 0, msisdn) -- the first that is written: where this is no list, nothing is
let_go_of_all(work, msisdn, outbox_of(outbox))
for id, letter in pairs(letters_of(dead)) do
  delete_letter(kinds, dead, id, letter)
end
for _, name in ipairs(before) do
  listed(2, 'ZREM', expiring, msisdn .. ' ' .. name)
end
redis.call('DEL', journal, outbox, dead, answers)
redis.call('SET', record, ARGV[1])

local at = 7
for _ = 1, tonumber(ARGV[3]) do
  redis.call('RPUSH', journal, ARGV[at])
  at = at + 1
end
local entries = {}
for sequence = 1, tonumber(ARGV[4]) do
  local entry = {sequence, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
                 tonumber(ARGV[at + 4]), '', '', ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], tonumber(ARGV[at + 8]),
                 ARGV[at + 9]}
  entries[ARGV[at]] = entry
  put(outbox, ARGV[at], entry)
  at = at + 10
end
for lane = 0, #KEYS - 1 - LANE_KEYS do
  schedule(entries, lane, KEYS[LANE_KEYS + lane], msisdn)
end
for sequence = 1, tonumber(ARGV[5]) do
  count_letter(kinds, ARGV[at + 4])
  put(dead, ARGV[at], {sequence, ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4], ARGV[at + 5],
                       ARGV[at + 6]})
  at = at + 7
end
if ARGV[5] == '0' then
  no_letters(given_up, kinds, msisdn)
else
  listed(2, 'ZADD', given_up, '0', msisdn)
end
for _ = 1, tonumber(ARGV[6]) do
  redis.call('HSET', answers, ARGV[at], ARGV[at + 1])
  listed(2, 'ZADD', expiring, ARGV[at + 2], msisdn .. ' ' .. ARGV[at])
  at = at + 3
end
if ARGV[at] == '1' then
  redis.call('ZADD', KEYS[#KEYS], 0, msisdn)
end
return before
