-- with fence entries notes
-- Give an entry up: it becomes a dead letter, the journal says so, and the next one of its lane may go.
-- KEYS  outbox due work dead given_up kinds journal
-- ARGV  msisdn id attempt at reason; then for each note: note, its kind, how many of that are kept
-- Returns when the lane's next entry can be claimed, -1 for never, false where it was not this attempt any more.
-- Safe to send again: then there is no such entry.
local outbox, due, work, dead, given_up, kinds, journal = unpack(KEYS)
local msisdn, id = ARGV[1], ARGV[2]
local entries, damaged = outbox_of(outbox)
local entry = entries[id]
if not entry or entry[ATTEMPT] ~= tonumber(ARGV[3]) then
  return false
end
local letters = letters_of(dead)
let_go(work, entry)
if letters[id] then
  delete_letter(kinds, dead, id, letters[id])
end
count_letter(kinds, entry[KIND])
put(dead, id, {last_sequence(letters) + 1, ARGV[4], entry[ATTEMPT], ARGV[5], entry[KIND], entry[EXPIRES], entry[DATA]})
redis.call('HDEL', outbox, id) -- behind all that may fail: what breaks off leaves the entry where it was
entries[id] = nil
listed(2, 'ZADD', given_up, 0, msisdn)
add_notes(journal, 6, #ARGV - 1)
return schedule(entries, entry[LANE], due, msisdn, damaged)
