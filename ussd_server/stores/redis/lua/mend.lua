-- with entries
-- Set aside what another program wrote where a bucket has lists, and list anew what is in them.
-- KEYS  the lists   ARGV  keys that list who has a record, what was set aside
-- Safe to send again: then they are lists.
local function mend(key)
  local reply = redis.pcall(find(key, ':dead%-kinds$') and 'HLEN' or 'ZCARD', key)
  if type(reply) ~= 'number' and find(reply.err, '^WRONGTYPE') then
    set_aside(key)
  end
end

local all = redis.pcall('ZCARD', ARGV[1])
if type(all) ~= 'number' and find(all.err, '^WRONGTYPE') then
  return all -- nobody knows whose keys tell what is in the lists
end
for _, key in ipairs(KEYS) do
  mend(key)
end
mend(ARGV[2])
return 1
