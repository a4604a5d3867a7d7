-- with fence entries notes
-- A commit with everything that one may have. Nothing is written before it is known that all of it applies.
-- KEYS  record journal outbox dead answers | all expiring work given_up kinds due...(one a lane)
-- ARGV  replaced version, new value, msisdn, now, end of a lease or 0, consumer, name of this claim,
--       how many are settled, dropped, exhumed, added, noted, answers; then each of these:
--       settled id; dropped id; exhumed id; added id lane due kind expires tried data; note, its kind,
--       how many of that are kept; answer's name, value, expires
-- With a lease, what is added and could be claimed now is held.
-- Returns {1, {lane, when it can next be claimed, ...}, {id, attempt, ...} of what is held}, {0} where it does not apply,
-- {-1} where an id is taken. Safe to send again: what is stored then has the new version, which no other commit ever has.
local record, journal, outbox, dead, answers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local all, expiring, work, given_up, kinds, LANE_KEYS = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], 11
local msisdn = ARGV[3]
local now, lease, consumer, claim = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local settled, dropped, exhumed, added, noted, answered =
  tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local first_settled = 14
local first_dropped = first_settled + settled
local first_exhumed = first_dropped + dropped
local first_added = first_exhumed + exhumed
local first_note = first_added + 7 * added
local first_answer = first_note + 3 * noted

local stored = redis.call('GETRANGE', record, '0', '7')
if stored ~= ARGV[1] then
  if stored ~= string.sub(ARGV[2], 1, 8) then
    return {0}
  end
  local held = {}
  for id, entry in pairs(lease > 0 and outbox_of(outbox) or {}) do
    if entry[CLAIM] == claim then
      held[#held + 1] = id
      held[#held + 1] = entry[ATTEMPT]
    end
  end
  return {1, {}, held}
end

local entries, damaged = {}, false
if settled + dropped + added > 0 then
  entries, damaged = outbox_of(outbox)
end
local letters = exhumed > 0 and letters_of(dead) or {}
local gone, back = {}, {}
for i = first_settled, first_exhumed - 1 do
  local entry = entries[ARGV[i]]
  if entry then
    gone[ARGV[i]] = entry
    entries[ARGV[i]] = nil
  elseif i < first_dropped then
    return {0}
  end
end
for i = first_exhumed, first_added - 1 do
  local letter = letters[ARGV[i]]
  if not letter then
    return {0}
  end
  back[ARGV[i]] = letter
  letters[ARGV[i]] = nil
end
if answered > 0 and redis.call('HEXISTS', answers, ARGV[first_answer]) == 1 then
  return {0}
end
local sequence = last_sequence(entries)
local new = {}
for i = first_added, first_note - 1, 7 do
  if entries[ARGV[i]] then
    return {-1}
  end
  sequence = sequence + 1
  local due, tried = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 5])
  local entry = {sequence, tonumber(ARGV[i + 1]), due, due, tried, '', '', '', ARGV[i + 3], ARGV[i + 4], tried,
                 ARGV[i + 6]}
  entries[ARGV[i]] = entry
  new[ARGV[i]] = entry
end

if ARGV[1] == '' then
  redis.call('ZADD', all, 0, msisdn) -- the first that is written: where this is no list, nothing is
end
redis.call('SET', record, ARGV[2])
if noted > 0 then
  add_notes(journal, first_note, first_answer - 1)
end
local lanes = {}
for id, entry in pairs(gone) do
  let_go(work, entry)
  redis.call('HDEL', outbox, id)
  lanes[entry[LANE]] = true
end
for _, entry in pairs(new) do
  lanes[entry[LANE]] = true
end
local held = {}
for lane in pairs(lease > 0 and lanes or {}) do
  local id = head(entries, lane)
  if new[id] and new[id][DUE] <= now then
    hold(work, consumer, claim, lease, msisdn, id, new[id])
    held[#held + 1] = id
    held[#held + 1] = new[id][ATTEMPT]
  end
end
for id, entry in pairs(new) do
  put(outbox, id, entry)
end
for id, letter in pairs(back) do
  delete_letter(kinds, dead, id, letter)
end
if exhumed > 0 and not next(letters) then
  no_letters(given_up, kinds, msisdn)
end
if answered > 0 then
  redis.call('HSET', answers, ARGV[first_answer], ARGV[first_answer + 1])
  listed(2, 'ZADD', expiring, ARGV[first_answer + 2], msisdn .. ' ' .. ARGV[first_answer])
end
local heads = {}
for lane in pairs(lanes) do
  heads[#heads + 1] = lane
  heads[#heads + 1] = schedule(entries, lane, KEYS[LANE_KEYS + lane], msisdn, damaged)
end
return {1, heads, held}
