-- with entries notes
-- Read all there is of a subscriber as it is at one moment.
-- KEYS  record journal outbox dead answers
-- Returns {record, notes, entries {sequence id due ready attempt reason kind expires tried data}, dead letters {sequence
-- id at attempt reason kind expires data}, answers {name, value, ...}}, false for an unknown number.
-- Safe to send again: it only reads, and mends what is damaged.
local value = redis.call('GET', KEYS[1])
local entries, letters = {}, {}
for id, entry in pairs(outbox_of(KEYS[3])) do
  entries[#entries + 1] = {entry[SEQUENCE], id, entry[DUE], entry[READY], entry[ATTEMPT], entry[REASON], entry[KIND],
                           entry[EXPIRES], entry[TRIED], entry[DATA]}
end
for id, letter in pairs(letters_of(KEYS[4])) do
  letters[#letters + 1] = {letter[D_SEQUENCE], id, letter[D_AT], letter[D_ATTEMPT], letter[D_REASON], letter[D_KIND],
                           letter[D_EXPIRES], letter[D_DATA]}
end
local notes = redis.pcall('LRANGE', KEYS[2], '0', '-1')
if notes.err then
  mend_journal(KEYS[2], notes)
  notes = redis.call('LRANGE', KEYS[2], '0', '-1')
end
return {value, notes, entries, letters, redis.call('HGETALL', KEYS[5])}
