-- with entries
-- Set aside what another program wrote where a bucket lists who is next, and what was set aside, and list that anew.
-- KEYS  due...(one a lane)   ARGV  keys that list who has a record, what was set aside
-- Safe to send again: then they are lists.
local function is_none(key)
  local reply = redis.pcall('ZCARD', key)
  return type(reply) ~= 'number' and find(reply.err, '^WRONGTYPE') and reply
end

if is_none(ARGV[1]) then
  return is_none(ARGV[1]) -- nobody knows who may be next: a person has to mend it
end
for _, due in ipairs(KEYS) do
  if is_none(due) then
    set_aside(due)
  end
end
if is_none(ARGV[2]) then
  set_aside(ARGV[2])
end
return 1
