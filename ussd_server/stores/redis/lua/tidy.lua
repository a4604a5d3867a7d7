-- Remove consumers that hold nothing and have been silent for so long, or the one that is named.
-- KEYS  work   ARGV  silence (ms), consumer or ''
-- Safe to send again: then they are gone.
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return 0
end
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'servers')
if consumers.err then
  return string.find(consumers.err, '^NOGROUP') and 0 or consumers
end
for _, flat in ipairs(consumers) do
  local consumer = {}
  for i = 1, #flat, 2 do
    consumer[flat[i]] = flat[i + 1]
  end
  local over = consumer['idle'] >= tonumber(ARGV[1]) or consumer['name'] == ARGV[2]
  if over and consumer['pending'] == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'servers', consumer['name'])
  end
end
return 1
