-- An outbox entry as it is kept in its subscriber's hash, under its id.
local SEQUENCE, LANE, DUE, READY, ATTEMPT, STREAM, CLAIM, REASON, KIND, EXPIRES, TRIED, DATA =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local MESSAGES = 0 -- a lane
-- A dead letter, likewise.
local D_SEQUENCE, D_AT, D_ATTEMPT, D_REASON, D_KIND, D_EXPIRES, D_DATA = 1, 2, 3, 4, 5, 6, 7

-- Every time fits a double; Lua would write one as 1.79e+12.
local function whole(number)
  return string.format('%.0f', number)
end

local find, unpacked, huge = string.find, cmsgpack.unpack, math.huge

-- What the scripts and those they answer rely on, so that none of them breaks off half-way. A comparison with what is no
-- number raises, and so does a search in what is no text.
local function entry_in(octets)
  local e = unpacked(octets)
  local stream = e[STREAM]
  if e[SEQUENCE] >= 0 and e[LANE] >= 0 and e[DUE] >= 0 and e[READY] >= 0 and e[ATTEMPT] >= 0 and e[TRIED] >= 0
    and e[SEQUENCE] + e[LANE] + e[DUE] + e[READY] + e[ATTEMPT] + e[TRIED] < huge
    and (stream == '' or find(stream, '^%d+%-%d+$')) and type(e[CLAIM]) == 'string' and type(e[REASON]) == 'string'
    and find(e[KIND], '^[a-z_]+$') and find(e[EXPIRES], '^%d+$') and type(e[DATA]) == 'string' then
    return e
  end
end

local function letter_in(octets)
  local l = unpacked(octets)
  if l[D_SEQUENCE] >= 0 and l[D_ATTEMPT] >= 0 and l[D_SEQUENCE] + l[D_ATTEMPT] < huge and find(l[D_AT], '^%d+$')
    and type(l[D_REASON]) == 'string' and find(l[D_KIND], '^[a-z_]+$') and find(l[D_EXPIRES], '^%d+$')
    and type(l[D_DATA]) == 'string' then
    return l
  end
end

-- What is no entry stands as one of kind `damaged`, next among the messages: so it is given up, and nobody waits for it.
-- Its octets are the data, behind one that begins nothing in MessagePack: they are never taken for data.
local function entry_of(octets)
  local whole, entry = pcall(entry_in, octets)
  if whole and entry then
    return entry, false
  end
  return {0, MESSAGES, 0, 0, 0, '', '', '', 'damaged', '0', 0, '\193' .. octets}, true
end

-- A subscriber's outbox, and whether anything in it is no entry.
local function outbox_of(key)
  local all, flat, damaged = {}, redis.call('HGETALL', key), false
  for i = 1, #flat, 2 do
    local none
    all[flat[i]], none = entry_of(flat[i + 1])
    damaged = damaged or none
  end
  return all, damaged
end

-- A subscriber's dead letters. What is none stands as above; nobody knows any more which kind it was counted as.
local function letters_of(key)
  local all, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local whole, letter = pcall(letter_in, flat[i + 1])
    all[flat[i]] = whole and letter or {0, '0', 0, '', 'damaged', '0', '\193' .. flat[i + 1], uncounted = true}
  end
  return all
end

local function put(key, id, value)
  redis.call('HSET', key, id, cmsgpack.pack(value))
end

-- The entry that is to be performed first: of a lane, the one that was committed first.
local function head(entries, lane)
  local first
  for id, entry in pairs(entries) do
    if entry[LANE] == lane and (not first or entry[SEQUENCE] < entries[first][SEQUENCE]) then
      first = id
    end
  end
  return first
end

local function last_sequence(all)
  local last = 0
  for _, each in pairs(all) do
    last = math.max(last, each[1])
  end
  return last
end

-- Let the lane's index say when this subscriber's first entry can be claimed; returns that time, -1 for never. With
-- `damaged`, what is no entry may be all that is left of the lane: its next claim sees to that.
local function schedule(entries, lane, due, msisdn, damaged)
  local id = head(entries, lane)
  if not id and damaged then
    redis.call('ZADD', due, '0', msisdn)
    return 0
  end
  if not id then
    redis.call('ZREM', due, msisdn)
    return -1
  end
  redis.call('ZADD', due, whole(entries[id][READY]), msisdn)
  return entries[id][READY]
end

-- Hold an entry until its lease is over, as its next attempt. The stream's pending list says who holds what since when:
-- an entry that nobody holds is added and read, one of a server that has died is claimed.
local function hold(work, consumer, claim, lease, msisdn, id, entry)
  entry[ATTEMPT], entry[READY], entry[CLAIM] = entry[ATTEMPT] + 1, lease, claim
  if entry[STREAM] ~= '' then
    redis.call('XCLAIM', work, 'servers', consumer, 0, entry[STREAM], 'JUSTID')
    return
  end
  if redis.call('EXISTS', work) == 0 then
    redis.call('XGROUP', 'CREATE', work, 'servers', '$', 'MKSTREAM')
  end
  entry[STREAM] = redis.call('XADD', work, '*', 'msisdn', msisdn, 'entry', id)
  redis.call('XREADGROUP', 'GROUP', 'servers', consumer, 'STREAMS', work, '>')
end

-- Nobody performs this entry any more: it leaves the stream and its consumer's list.
local function let_go(work, entry)
  if entry[STREAM] ~= '' then
    redis.call('XACK', work, 'servers', entry[STREAM])
    redis.call('XDEL', work, entry[STREAM])
    entry[STREAM] = ''
    entry[CLAIM] = ''
  end
end

-- One dead letter more of a kind.
local function count_letter(kinds, kind)
  redis.call('HINCRBY', kinds, kind, 1)
end

-- One dead letter less.
local function uncount_letter(kinds, letter)
  if not letter.uncounted and redis.call('HINCRBY', kinds, letter[D_KIND], -1) == 0 then
    redis.call('HDEL', kinds, letter[D_KIND])
  end
end

-- A subscriber has no dead letters any more. When nobody has, none is counted: also none that was damaged since.
local function no_letters(given_up, kinds, msisdn)
  redis.call('ZREM', given_up, msisdn)
  if redis.call('EXISTS', given_up) == 0 then
    redis.call('DEL', kinds)
  end
end
