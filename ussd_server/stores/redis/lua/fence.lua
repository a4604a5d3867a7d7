-- Change nothing in a store that is fenced. ARGV's last is the key of the fence: it is none of KEYS, as Redis would have
-- a request wait of which one key is there and another is not, while a slot of a Cluster is being moved. There, and then
-- only, the fence may be at the slot's other server, and is not seen.
local fenced = redis.pcall('GET', ARGV[#ARGV])
if type(fenced) == 'string' then
  return redis.error_reply('FENCED ' .. fenced)
end
