-- with fence entries
-- Delete all there is of a subscriber.
-- KEYS  as of commit   ARGV  msisdn
-- Returns {whether there was anything, names of the answers that are gone...}. Safe to send again: then nothing is left.
local work = KEYS[8]
redis.call('ZCARD', KEYS[6]) -- where this is no list, nothing is deleted
local names = redis.call('HKEYS', KEYS[5])
local gone = {math.min(1, redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]))}
let_go_of_all(work, ARGV[1], outbox_of(KEYS[3]))
for id, letter in pairs(letters_of(KEYS[4])) do
  delete_letter(KEYS[10], KEYS[4], id, letter)
end
for _, name in ipairs(names) do
  listed(2, 'ZREM', KEYS[7], ARGV[1] .. ' ' .. name)
  gone[#gone + 1] = name
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[6], ARGV[1])
no_letters(KEYS[9], KEYS[10], ARGV[1])
for i = 11, #KEYS do
  listed(2, 'ZREM', KEYS[i], ARGV[1])
end
return gone
