-- Add the notes of ARGV from `first` to `last`, each followed by its packed kind and by how many of that are kept: the
-- oldest beyond go. A note is {at, kind, data}, packed; to unpack each would take twice the time.
local function add_notes(journal, first, last)
  local kept, length, least = {}, 0, math.huge
  for i = first, last, 3 do
    length = redis.call('RPUSH', journal, ARGV[i])
    kept[ARGV[i + 1]] = tonumber(ARGV[i + 2])
    least = math.min(least, kept[ARGV[i + 1]])
  end
  if length <= least then
    return
  end
  -- Where the kind begins, by the octet that tells how long `at` is.
  local begins = {[204] = 4, [205] = 5, [206] = 7, [207] = 11, [208] = 4, [209] = 5, [210] = 7, [211] = 11}
  local notes = redis.call('LRANGE', journal, '0', '-1')
  for kind, left in pairs(kept) do
    for i = #notes, 1, -1 do
      local at = begins[string.byte(notes[i], 2)] or 3
      if string.sub(notes[i], at, at + #kind - 1) == kind then
        left = left - 1
        if left < 0 then
          redis.call('LREM', journal, '1', notes[i]) -- the first that is alike, so it is none that stays
        end
      end
    end
  end
end
