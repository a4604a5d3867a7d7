-- Rewritten beyond so many removals: each reads the list up to what it removes.
local FEW = 4
-- Pushed at once: Lua's stack takes some thousands.
local PIECE = 1000

-- Let `journal`, whose `notes` are these, lack the numbers in `gone`, of which there are `many`.
local function remove_notes(journal, notes, gone, many)
  if many <= FEW then
    for i in pairs(gone) do
      redis.call('LREM', journal, '1', notes[i]) -- the first that is alike, so it is none that stays
    end
    return
  end
  redis.call('DEL', journal)
  local piece = {}
  for i = 1, #notes do
    if not gone[i] then
      piece[#piece + 1] = notes[i]
    end
    if #piece == PIECE or (i == #notes and #piece > 0) then
      redis.call('RPUSH', journal, unpack(piece))
      piece = {}
    end
  end
end

-- Let what is no journal be its first note, as DUMP has it, where that is why `reply` is an error; it is no note, either.
local function mend_journal(journal, reply)
  if not string.find(reply.err, '^WRONGTYPE') then
    error(reply)
  end
  local octets = redis.call('DUMP', journal)
  redis.call('DEL', journal)
  redis.call('RPUSH', journal, octets)
end

-- Add the notes of ARGV from `first` to `last`, each followed by its packed kind and by how many of that are kept: the
-- oldest beyond go. A note is {at, kind, data}, packed; to unpack each would take twice the time.
local function add_notes(journal, first, last)
  local kept, length, least = {}, 0, math.huge
  for i = first, last, 3 do
    length = redis.pcall('RPUSH', journal, ARGV[i])
    if type(length) ~= 'number' then
      mend_journal(journal, length)
      length = redis.call('RPUSH', journal, ARGV[i])
    end
    kept[ARGV[i + 1]] = tonumber(ARGV[i + 2])
    least = math.min(least, kept[ARGV[i + 1]])
  end
  if length <= least then
    return
  end
  -- Where the kind begins, by the octet that tells how long `at` is.
  local begins = {[204] = 4, [205] = 5, [206] = 7, [207] = 11, [208] = 4, [209] = 5, [210] = 7, [211] = 11}
  local notes = redis.call('LRANGE', journal, '0', '-1')
  local gone, many = {}, 0
  for kind, left in pairs(kept) do
    for i = #notes, 1, -1 do
      local at = begins[string.byte(notes[i], 2)] or 3
      if string.sub(notes[i], at, at + #kind - 1) == kind then
        left = left - 1
        if left < 0 then
          gone[i] = true
          many = many + 1
        end
      end
    end
  end
  remove_notes(journal, notes, gone, many)
end
