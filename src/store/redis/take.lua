-- Takes all draws or none. ARGV: the hold's id, how long it lives, how much longer it can be settled, how much longer counters
-- are kept (all in microseconds), the draws as text for who asks again; then for each draw: kind, from, until, amount,
-- ceiling, rate, window.

local there, opens = epoch()
if not there or now < opens then return { 'lost', whole(now) } end

local id, lives, late, kept, written = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local FIRST, WIDTH = 6, 7
local draws = (#ARGV - FIRST + 1) / WIDTH

local function standings(counters)
  local counted = {}
  for index, counter in ipairs(counters) do counted[index] = text(counter.counted) end
  return counted
end

local known = redis.call('GET', HOLD)
if known == 'ended' then return { 'ended', whole(now) } end
if known then return { 'again', whole(now), known } end

local counters, fits = {}, true
for index = 1, draws do
  local kind, from, till, amount, ceiling, rate, window = unpack(ARGV, FIRST + (index - 1) * WIDTH, FIRST + index * WIDTH - 1)
  if kind == 'spend' and (now < tonumber(from) or now >= tonumber(till)) then return { 'moved', whole(now) } end
  local counter = look(index, kind, rate)
  counter.amount, counter.till, counter.window = number(amount), tonumber(till), tonumber(window)
  if less(number(ceiling), plus(counter.counted, counter.amount)) then fits = false end
  counters[index] = counter
end
if not fits then return { 'short', whole(now), standings(counters) } end

local expires = now + lives
put(counters, id, expires, late, kept, written)
return { 'taken', whole(now), standings(counters), whole(expires) }
