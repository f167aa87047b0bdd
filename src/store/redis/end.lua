-- Settles or releases a hold, once. ARGV: the hold's id, when it expires, how long after that it can be settled, how much
-- longer counters are kept (microseconds); then for each draw: kind, until, amount taken, amount used, rate, window.

if redis.call('EXISTS', EPOCH) == 0 then return { 'lost', whole(now) } end

local id, expires, late, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local FIRST, WIDTH = 5, 6
local draws = (#ARGV - FIRST + 1) / WIDTH

if now >= expires + late then return { 'too late', whole(now) } end
if redis.call('GET', HOLD) == 'ended' then return { 'already', whole(now) } end

for index = 1, draws do
  local kind, till, taken, used, rate, window = unpack(ARGV, FIRST + (index - 1) * WIDTH, FIRST + index * WIDTH - 1)
  local counter = look(index, kind, rate)
  drop_expired(counter)
  taken, used = number(taken), number(used)
  -- An expired hold has been given back whole.
  local open = redis.call('ZREM', counter.holds, id .. ':' .. text(taken)) == 1
  if not open then taken = {} end
  local last = math.max(now, expires)
  if kind == 'rate' then
    if open then give_back(counter, id, minus(taken, used)) end
    if less(taken, used) then add(counter, minus(used, taken)) end
    last = math.max(last, now + tonumber(window))
  else
    counter.held = minus(counter.held, taken)
    if kind == 'spend' then
      counter.level = plus(counter.level, used)
      last = math.max(last, tonumber(till))
    end
  end
  write(counter, last, kept)
end
redis.call('SET', HOLD, 'ended', 'PX', whole(math.ceil((expires + late - now) / 1000)))
if now < expires then return { 'now', whole(now) } end
return { 'late', whole(now) }
