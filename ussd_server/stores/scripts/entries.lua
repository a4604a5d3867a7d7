-- An outbox entry as it is kept in its subscriber's hash, under its id.
local SEQUENCE, LANE, DUE, READY, ATTEMPT, STREAM, CLAIM, REASON, KIND, EXPIRES, TRIED, DATA =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
-- A dead letter, likewise.
local D_SEQUENCE, D_AT, D_ATTEMPT, D_REASON, D_KIND, D_EXPIRES, D_DATA = 1, 2, 3, 4, 5, 6, 7

-- Every time fits a double; Lua would write one as 1.79e+12.
local function whole(number)
  return string.format('%.0f', number)
end

local function unpacked(key)
  local all, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    all[flat[i]] = cmsgpack.unpack(flat[i + 1])
  end
  return all
end

-- A subscriber's outbox. What is no entry at all stands as an SMS that is next: so it is given up, and nobody waits for
-- it. Its octets are the data, behind one that begins nothing in MessagePack: they are never taken for data.
local function outbox_of(key)
  local all, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local whole, entry = pcall(cmsgpack.unpack, flat[i + 1])
    if not whole or type(entry) ~= 'table' or not entry[DATA] then
      entry = {0, 0, 0, 0, 0, '', '', '', 'sms', '0', 0, '\193' .. flat[i + 1]}
    end
    all[flat[i]] = entry
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

-- Let the lane's index say when this subscriber's first entry can be claimed; returns that time, -1 for never.
local function schedule(entries, lane, due, msisdn)
  local id = head(entries, lane)
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

-- One dead letter more or less of a kind.
local function count_dead(kinds, kind, by)
  if redis.call('HINCRBY', kinds, kind, by) == 0 then
    redis.call('HDEL', kinds, kind)
  end
end
