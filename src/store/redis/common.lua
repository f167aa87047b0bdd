-- What all steps share. Put before each script; see redis.rs for the keys.
--
-- Numbers are decimal text on the wire and in the hashes, and lists of limbs of seven digits here, the lowest first: Lua's own
-- are doubles, which are exact to 2^53 alone, and a month's money in small units is more.

local DIGITS, BASE = 7, 10000000

local function number(text)
  local limbs = {}
  for last = #text, 1, -DIGITS do
    limbs[#limbs + 1] = tonumber(string.sub(text, math.max(1, last - DIGITS + 1), last))
  end
  while limbs[#limbs] == 0 do limbs[#limbs] = nil end
  return limbs
end

local function text(limbs)
  if #limbs == 0 then return '0' end
  local parts = { string.format('%d', limbs[#limbs]) }
  for at = #limbs - 1, 1, -1 do parts[#parts + 1] = string.format('%07d', limbs[at]) end
  return table.concat(parts)
end

local function less(a, b)
  if #a ~= #b then return #a < #b end
  for at = #a, 1, -1 do
    if a[at] ~= b[at] then return a[at] < b[at] end
  end
  return false
end

local function least(a, b) if less(b, a) then return b end return a end

local function plus(a, b)
  local sum, carry = {}, 0
  for at = 1, math.max(#a, #b) do
    local limb = (a[at] or 0) + (b[at] or 0) + carry
    carry = limb >= BASE and 1 or 0
    sum[at] = limb - carry * BASE
  end
  if carry > 0 then sum[#sum + 1] = carry end
  return sum
end

-- Nothing where b is more than a.
local function minus(a, b)
  if less(a, b) then return {} end
  local rest, borrow = {}, 0
  for at = 1, #a do
    local limb = a[at] - (b[at] or 0) - borrow
    borrow = limb < 0 and 1 or 0
    rest[at] = limb + borrow * BASE
  end
  while rest[#rest] == 0 do rest[#rest] = nil end
  return rest
end

local function times(a, b)
  local product = {}
  for i = 1, #a do
    local carry = 0
    for j = 1, #b do
      local limb = (product[i + j - 1] or 0) + a[i] * b[j] + carry
      carry = math.floor(limb / BASE)
      product[i + j - 1] = limb - carry * BASE
    end
    if carry > 0 then product[i + #b] = carry end
  end
  return product
end

-- Whole doubles (times in microseconds) as text: tostring would give 1.8e+15.
local function whole(double) return string.format('%.0f', double) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A server that has started again from a snapshot, or a replica that has taken its place, has older counters than it had, with all their
-- marks. So keys end with what they are as certain as: `aof` where the server writes each change to its disk, else the run of the server,
-- which nothing outlives.
local function kept_by()
  if string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true) then return 'aof' end
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or 'unknown'
end

local BY = '@' .. kept_by()
for index = 1, #KEYS do KEYS[index] = KEYS[index] .. BY end

local EPOCH, HOLD = KEYS[1], KEYS[2]

local LONGEST_FENCE = 60000000

-- Which counters these are, and until when nothing is taken from them; nothing where they are lost. `ID OPENS`. What opens later than
-- any fence does was written before the clock went back.
local function epoch()
  local id, opens = string.match(redis.call('GET', EPOCH) or '', '^(%S+) ?(%d*)$')
  opens = tonumber(opens or '') or 0
  if opens > now + LONGEST_FENCE then opens = 0 end
  return id, opens
end

-- The bucket of a rate, as in gcra.rs: from open hold to open hold the lowest level at which something was put in (`low`, absent
-- where nothing was), the oldest first; `-` begins the stretch of all holds that are older than the rest.
local MOST_STRETCHES, OLDER = 32, '-'

local function lower(stretch, level)
  if level then stretch.low = stretch.low and least(stretch.low, level) or level end
end

local function add(counter, amount)
  local last = counter.stretches[#counter.stretches]
  if last then lower(last, counter.level) end
  counter.level = plus(counter.level, amount)
end

local function join(counter, own)
  local ended = table.remove(counter.stretches, own)
  if own > 1 then lower(counter.stretches[own - 1], ended.low) end
end

local function pour(counter, hold, amount)
  add(counter, amount)
  table.insert(counter.stretches, { hold = hold })
  if #counter.stretches > MOST_STRETCHES then
    if counter.older > 0 then join(counter, 2) else counter.stretches[1].hold = OLDER end
    counter.older = counter.older + 1
  end
end

-- Ends an open hold and takes out what it has not used, as far as that is still in there.
local function give_back(counter, hold, unused)
  local own, back = nil, unused
  for index, stretch in ipairs(counter.stretches) do
    if stretch.hold == hold then own = index end
  end
  for index = own or 1, #counter.stretches do
    local stretch = counter.stretches[index]
    if stretch.low then
      back = least(stretch.low, back)
      stretch.low = minus(stretch.low, back)
    end
  end
  counter.level = minus(counter.level, back)
  if own then
    join(counter, own)
  else
    counter.older = math.max(0, counter.older - 1)
    if counter.older == 0 and counter.stretches[1] and counter.stretches[1].hold == OLDER then
      table.remove(counter.stretches, 1)
    end
  end
end

-- `HOLD=LOW HOLD= HOLD=LOW`.
local function read_stretches(written)
  local stretches = {}
  for hold, low in string.gmatch(written, '(%S+)=(%d*)') do
    stretches[#stretches + 1] = { hold = hold, low = low ~= '' and number(low) or nil }
  end
  return stretches
end

local function written_stretches(stretches)
  local parts = {}
  for index, stretch in ipairs(stretches) do
    parts[index] = stretch.hold .. '=' .. (stretch.low and text(stretch.low) or '')
  end
  return table.concat(parts, ' ')
end

-- A draw's counter as it stands now, without the holds that have expired. Writes nothing.
local function look(index, kind, rate)
  local counter = { key = KEYS[1 + 2 * index], holds = KEYS[2 + 2 * index], kind = kind, rate = rate }
  local fields = redis.call('HMGET', counter.key, 'level', 'at', 'held', 'stretches', 'older')
  counter.level = number(fields[1] or '0')
  counter.at = tonumber(fields[2] or '0')
  counter.held = number(fields[3] or '0')
  counter.stretches = read_stretches(fields[4] or '')
  counter.older = tonumber(fields[5] or '0')
  local expired = redis.call('ZRANGEBYSCORE', counter.holds, '-inf', whole(now))
  counter.expired = #expired
  if kind == 'rate' then
    if now > counter.at then
      counter.level = minus(counter.level, times(number(rate), number(whole(now - counter.at))))
      counter.at = now
    end
    for _, member in ipairs(expired) do
      local hold, amount = string.match(member, '^(.*):(%d+)$')
      give_back(counter, hold, number(amount))
    end
    counter.counted = counter.level
  else
    for _, member in ipairs(expired) do counter.held = minus(counter.held, number(string.match(member, ':(%d+)$'))) end
    counter.counted = plus(counter.level, counter.held)
  end
  return counter
end

local function drop_expired(counter)
  if counter.expired > 0 then redis.call('ZREMRANGEBYSCORE', counter.holds, '-inf', whole(now)) end
end

-- Writes a counter, and keeps it until `last` or until it has leaked, whichever is later, and `kept` more.
local function write(counter, last, kept)
  redis.call('HSET', counter.key, 'level', text(counter.level), 'at', whole(counter.at), 'held', text(counter.held))
  if counter.kind == 'rate' then
    redis.call('HSET', counter.key, 'stretches', written_stretches(counter.stretches), 'older', whole(counter.older))
  end
  if counter.kind == 'rate' and counter.rate ~= '0' then
    last = math.max(last, now + tonumber(text(counter.level)) / tonumber(counter.rate))
  end
  -- A life that is there is only made longer.
  local milliseconds = math.max(math.ceil((last + kept) / 1000), math.floor(now / 1000) + redis.call('PTTL', counter.key))
  redis.call('PEXPIREAT', counter.key, whole(milliseconds))
  redis.call('PEXPIREAT', counter.holds, whole(milliseconds))
end

-- Holds what these counters say (`amount`, `till`, `window`), and remembers it until nobody can settle it any more.
local function put(counters, id, expires, late, kept, written)
  for _, counter in ipairs(counters) do
    drop_expired(counter)
    local last = expires
    if counter.kind == 'rate' then
      pour(counter, id, counter.amount)
      last = math.max(last, now + counter.window)
    else
      counter.held = plus(counter.held, counter.amount)
      if counter.kind == 'spend' then last = math.max(last, counter.till) end
    end
    redis.call('ZADD', counter.holds, whole(expires), id .. ':' .. text(counter.amount))
    write(counter, last, kept)
  end
  local life = math.ceil((expires + late - now) / 1000)
  redis.call('SET', HOLD, whole(now) .. ' ' .. whole(expires) .. ' ' .. written, 'PX', whole(life))
end
