-- Remove consumers that hold nothing and have been silent for so long, or the one that is named.
-- KEYS  work   ARGV  silence (ms), consumer or ''
-- Safe to send again: then they are gone.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], 'servers')) do
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
