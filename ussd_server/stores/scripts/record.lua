-- Replace a record, and note what happened: nearly every commit.
-- KEYS record, journal (only where there is something to note)   ARGV version it replaces, new value, notes
-- Safe to send again: what is stored then has the new version, which no other commit ever has.
local stored = redis.call('GETRANGE', KEYS[1], 0, 7)
if stored ~= ARGV[1] then
  return stored == string.sub(ARGV[2], 1, 8) and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[2])
for i = 3, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
return 1
