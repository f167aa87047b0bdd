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

local EPOCH, HOLD = KEYS[1], KEYS[2]

-- The lowest level since the oldest open hold.
local function lowest(counter)
  if counter.low then return least(counter.low, counter.level) end
  return counter.level
end

local function add(counter, amount)
  counter.low = lowest(counter)
  counter.level = plus(counter.level, amount)
end

local function give_back(counter, amount)
  local back = least(amount, lowest(counter))
  counter.level = minus(counter.level, back)
  if counter.low then counter.low = minus(counter.low, back) end
end

-- A draw's counter as it stands now, without the holds that have expired. Writes nothing.
local function look(index, kind, rate)
  local counter = { key = KEYS[1 + 2 * index], holds = KEYS[2 + 2 * index], kind = kind, rate = rate }
  local fields = redis.call('HMGET', counter.key, 'level', 'at', 'low', 'held')
  counter.level = number(fields[1] or '0')
  counter.at = tonumber(fields[2] or '0')
  counter.low = fields[3] and fields[3] ~= '' and number(fields[3]) or nil
  counter.held = number(fields[4] or '0')
  local gone, expired = {}, redis.call('ZRANGEBYSCORE', counter.holds, '-inf', whole(now))
  for _, member in ipairs(expired) do gone = plus(gone, number(string.match(member, ':(%d+)$'))) end
  counter.expired = #expired
  if kind == 'rate' then
    if now > counter.at then
      counter.level = minus(counter.level, times(number(rate), number(whole(now - counter.at))))
      counter.at = now
    end
    give_back(counter, gone)
    counter.counted = counter.level
  else
    counter.held = minus(counter.held, gone)
    counter.counted = plus(counter.level, counter.held)
  end
  return counter
end

local function drop_expired(counter)
  if counter.expired > 0 then redis.call('ZREMRANGEBYSCORE', counter.holds, '-inf', whole(now)) end
end

-- Writes a counter, and keeps it until `last` or until it has leaked, whichever is later, and `kept` more.
local function write(counter, last, kept)
  redis.call('HSET', counter.key, 'level', text(counter.level), 'at', whole(counter.at),
    'low', counter.low and text(counter.low) or '', 'held', text(counter.held))
  if counter.kind == 'rate' and counter.rate ~= '0' then
    last = math.max(last, now + tonumber(text(counter.level)) / tonumber(counter.rate))
  end
  -- A life that is there is only made longer.
  local milliseconds = math.max(math.ceil((last + kept) / 1000), math.floor(now / 1000) + redis.call('PTTL', counter.key))
  redis.call('PEXPIREAT', counter.key, whole(milliseconds))
  redis.call('PEXPIREAT', counter.holds, whole(milliseconds))
end
