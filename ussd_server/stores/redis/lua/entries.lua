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

local find, byte, unpacked, huge = string.find, string.byte, cmsgpack.unpack, math.huge

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

local function follows(octet, first, last)
  return octet and octet >= (first or 128) and octet <= (last or 191)
end

-- How long the character is that begins there in UTF-8, false where none does.
local function character(octets, i)
  local a, b, c, d = byte(octets, i, i + 3)
  if a < 128 then
    return 1
  elseif a >= 194 and a <= 223 then
    return follows(b) and 2
  elseif a >= 224 and a <= 239 then
    return follows(b, a == 224 and 160, a == 237 and 159) and follows(c) and 3
  elseif a >= 240 and a <= 244 then
    return follows(b, a == 240 and 144, a == 244 and 143) and follows(c) and follows(d) and 4
  end
  return false
end

local function is_text(octets)
  local i = find(octets, '[\128-\255]')
  while i and i <= #octets do
    local length = character(octets, i)
    if not length then
      return false
    end
    i = i + length
  end
  return true
end

local function name_for(key, octets)
  return 'damaged-' .. redis.sha1hex(key .. octets)
end

-- What a subscriber's hash holds, by id. What is no hash becomes the one thing in it, as DUMP has it; an id that is no
-- text becomes one that is, of both. So neither is an entry or a letter any more, nor is anything of them lost.
local function all_of(key)
  local flat = redis.pcall('HGETALL', key)
  if flat.err then
    if not find(flat.err, '^WRONGTYPE') then
      error(flat)
    end
    local octets = redis.call('DUMP', key)
    redis.call('DEL', key)
    flat = {name_for(key, octets), octets}
    redis.call('HSET', key, flat[1], flat[2])
  end
  for i = 1, #flat, 2 do
    if not is_text(flat[i]) then
      redis.call('HDEL', key, flat[i])
      flat[i], flat[i + 1] = name_for(key, flat[i]), '\193' .. cmsgpack.pack({flat[i], flat[i + 1]})
      redis.call('HSET', key, flat[i], flat[i + 1])
    end
  end
  return flat
end

-- A subscriber's outbox, and whether anything in it is no entry.
local function outbox_of(key)
  local all, flat, damaged = {}, all_of(key), false
  for i = 1, #flat, 2 do
    local none
    all[flat[i]], none = entry_of(flat[i + 1])
    damaged = damaged or none
  end
  return all, damaged
end

-- A subscriber's dead letters. What is none stands as above; nobody knows any more which kind it was counted as.
local function letters_of(key)
  local all, flat = {}, all_of(key)
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

local set_aside

-- Whether what a list is asked for fails by what another program wrote: over it, or a number of it that is none any more.
local function is_anothers(err)
  return find(err, '^WRONGTYPE') or find(err, '^ERR hash value is not an integer')
    or find(err, '^ERR increment or decrement would overflow')
end

-- Do something to a list of a bucket's, all but that of who has a record, by a command of which the key is the argument
-- in place `at`. What another program wrote there is set aside, and the list made anew; so is that of what is held where
-- it lost its group. Where it cannot be set aside yet, nothing is done and {} returned: each subscriber's own keys know
-- what is listed, and whoever reads the list has it made anew.
local function listed(at, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  local key = select(at, ...)
  if is_anothers(reply.err) then
    if not set_aside(key) then
      return {}
    end
  elseif find(reply.err, '^NOGROUP') then
    redis.call('XGROUP', 'CREATE', key, 'servers', '$', 'MKSTREAM')
  else
    error(reply)
  end
  return redis.call(...)
end

-- Let the lane's index say when this subscriber's first entry can be claimed; returns that time, -1 for never. With
-- `damaged`, what is no entry may be all that is left of the lane: its next claim sees to that.
local function schedule(entries, lane, due, msisdn, damaged)
  local id = head(entries, lane)
  if not id and damaged then
    listed(2, 'ZADD', due, '0', msisdn)
    return 0
  end
  if not id then
    listed(2, 'ZREM', due, msisdn)
    return -1
  end
  listed(2, 'ZADD', due, whole(entries[id][READY]), msisdn)
  return entries[id][READY]
end

-- Whether the slot of this key is not just being moved in a Cluster: there Redis refuses two keys of which one is missing.
local function stays(key)
  return type(redis.pcall('EXISTS', key, key .. ':never')) == 'number'
end

-- Let a key lie beside itself, under a name that tells what is in it: so nothing else that lies there is lost, and what is
-- written again and again lies there once. The bucket lists all that does (`look.lua` tells of it).
local function put_aside(bucket, key)
  local aside, name = bucket .. 'set-aside', key .. ':set-aside:' .. redis.sha1hex(redis.call('DUMP', key))
  redis.call('RENAME', key, name)
  if type(redis.pcall('ZADD', aside, '0', name)) ~= 'number' then
    put_aside(bucket, aside)
    redis.call('ZADD', aside, '0', name)
  end
end

-- When a kept answer is over. It is {fingerprint, body, when}, packed, and Redis unpacks no octets.
local function end_of(octets)
  local at = 2
  for _ = 1, 2 do
    local size = 2 ^ (byte(octets, at) - 196)
    at = at + 1 + size + struct.unpack('>I' .. size, octets, at + 1)
  end
  return whole(unpacked(string.sub(octets, at)))
end

-- Let a list that was begun anew have of this subscriber what their own keys tell.
local function list_again(bucket, list, lane, msisdn)
  local key = bucket .. list
  if lane then
    local entries, damaged = outbox_of(bucket .. 'o:' .. msisdn)
    schedule(entries, tonumber(lane), key, msisdn, damaged)
  elseif list == 'given-up' and redis.call('EXISTS', bucket .. 'd:' .. msisdn) == 1 then
    redis.call('ZADD', key, '0', msisdn)
  elseif list == 'dead-kinds' then
    for _, letter in pairs(letters_of(bucket .. 'd:' .. msisdn)) do
      if not letter.uncounted then
        redis.call('HINCRBY', key, letter[D_KIND], '1')
      end
    end
  elseif list == 'expiring' then
    local answers = redis.pcall('HGETALL', bucket .. 'a:' .. msisdn)
    for i = 1, #answers, 2 do
      local known, expires = pcall(end_of, answers[i + 1])
      if known then
        redis.call('ZADD', key, expires, msisdn .. ' ' .. answers[i])
      end
    end
  end
end

-- Set aside what stands where a bucket has a list, and list that anew; returns false, and does nothing, where it cannot be
-- done yet. What is in the lists each subscriber's own keys tell, and what they know as held is listed when it is claimed
-- again. They are none of KEYS: in a slot that is just being moved some may be at its other server.
set_aside = function(key)
  local bucket, list = string.match(key, '^(.*}:)(.*)$')
  local whose = list == 'work' and {} or redis.pcall('ZRANGE', bucket .. 'all', '0', '-1')
  if whose.err or not stays(key) then
    return false
  end
  put_aside(bucket, key)
  if list == 'work' then
    redis.call('XGROUP', 'CREATE', key, 'servers', '$', 'MKSTREAM')
  end
  local lane = string.match(list, '^due:(%d+)$')
  for _, msisdn in ipairs(whose) do
    list_again(bucket, list, lane, msisdn)
  end
  return true
end

-- Hold an entry until its lease is over, as its next attempt. The stream's pending list says who holds what since when:
-- an entry that nobody holds, or that is not in the list any more, is added and read, one of a server that has died is
-- claimed.
local function hold(work, consumer, claim, lease, msisdn, id, entry)
  entry[ATTEMPT], entry[READY], entry[CLAIM] = entry[ATTEMPT] + 1, lease, claim
  if entry[STREAM] ~= '' then
    if #listed(2, 'XCLAIM', work, 'servers', consumer, '0', entry[STREAM], 'JUSTID') > 0 then
      return
    end
    listed(2, 'XDEL', work, entry[STREAM])
  end
  if redis.call('EXISTS', work) == 0 then
    redis.call('XGROUP', 'CREATE', work, 'servers', '$', 'MKSTREAM')
  end
  local item = listed(2, 'XADD', work, '*', 'msisdn', msisdn, 'entry', id)
  entry[STREAM] = type(item) == 'string' and item or ''
  listed(6, 'XREADGROUP', 'GROUP', 'servers', consumer, 'STREAMS', work, '>')
end

-- Nobody performs this entry any more: it leaves the stream and its consumer's list.
local function let_go(work, entry)
  if entry[STREAM] ~= '' then
    listed(2, 'XACK', work, 'servers', entry[STREAM])
    listed(2, 'XDEL', work, entry[STREAM])
    entry[STREAM] = ''
    entry[CLAIM] = ''
  end
end

-- Let go of what is said to be performed of this subscriber's, and none of the entries knows of: it was damaged since.
local function let_go_of_lost(work, msisdn, entries)
  for _, item in ipairs(listed(2, 'XRANGE', work, '-', '+')) do
    local stream, fields = item[1], item[2]
    local entry = entries[fields[4]]
    if fields[2] == msisdn and not (entry and entry[STREAM] == stream) then
      redis.call('XACK', work, 'servers', stream)
      redis.call('XDEL', work, stream)
    end
  end
end

-- Nobody performs any of these entries any more, which are all that the subscriber has.
local function let_go_of_all(work, msisdn, entries, damaged)
  for _, entry in pairs(entries) do
    let_go(work, entry)
  end
  if damaged then
    let_go_of_lost(work, msisdn, entries)
  end
end

-- One dead letter more of a kind; before it is written, as all that are written are counted where this is no list, or has
-- what is no number.
local function count_letter(kinds, kind)
  listed(2, 'HINCRBY', kinds, kind, '1')
end

-- One dead letter less: it is counted no more, and then deleted at once, likewise.
local function delete_letter(kinds, dead, id, letter)
  if not letter.uncounted and listed(2, 'HINCRBY', kinds, letter[D_KIND], '-1') == 0 then
    redis.call('HDEL', kinds, letter[D_KIND])
  end
  redis.call('HDEL', dead, id)
end

-- A subscriber has no dead letters any more. When nobody has, none is counted: also none that was damaged since.
local function no_letters(given_up, kinds, msisdn)
  listed(2, 'ZREM', given_up, msisdn)
  if redis.call('EXISTS', given_up) == 0 and type(listed(2, 'HLEN', kinds)) == 'number' then
    redis.call('DEL', kinds)
  end
end
