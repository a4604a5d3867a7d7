-- with fence
-- Replace records, each for itself: nearly every commit, and all that come together in one call.
-- KEYS records   ARGV for each: version it replaces, new value
-- Returns for each 1, 0 where it does not apply, or what is wrong with that key alone.
-- Safe to send again: what is stored then has the new version, which no other commit ever has.
local outcomes = {}
for i = 1, #KEYS do
  local before, value = ARGV[2 * i - 1], ARGV[2 * i]
  -- As text: Lua would have Redis print numbers with 17 digits, which takes as long as the rest of the call.
  local stored = redis.pcall('GETRANGE', KEYS[i], '0', '7')
  if stored == before then
    redis.call('SET', KEYS[i], value)
    outcomes[i] = 1
  elseif type(stored) == 'string' then
    outcomes[i] = stored == string.sub(value, 1, 8) and 1 or 0
  elseif string.sub(stored.err, 1, 9) == 'WRONGTYPE' then
    outcomes[i] = stored
  else
    -- Whatever else is wrong is so for all of them and from the start: nothing was written.
    return stored
  end
end
return outcomes
