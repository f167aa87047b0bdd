-- Puts a hold back that the server does not know. ARGV: the epoch that is meant, the hold's id, when it expires, how much longer it can
-- be settled, how much longer counters are kept, how long the fence lasts from here at least (microseconds), the draws as text for
-- who asks again; then for each draw: kind, until, amount, rate, window.

local there, opens = epoch()
if there ~= ARGV[1] then return { 'lost', whole(now) } end

local id, expires, late, kept, lasts = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local written = ARGV[7]
local FIRST, WIDTH = 8, 5

if redis.call('EXISTS', HOLD) == 1 then return { 'there', whole(now) } end
if now >= expires then return { 'over', whole(now) } end

local counters = {}
for index = 1, (#ARGV - FIRST + 1) / WIDTH do
  local kind, till, amount, rate, window = unpack(ARGV, FIRST + (index - 1) * WIDTH, FIRST + index * WIDTH - 1)
  local counter = look(index, kind, rate)
  counter.amount, counter.till, counter.window = number(amount), tonumber(till), tonumber(window)
  counters[index] = counter
end
put(counters, id, expires, late, kept, written)

-- Others of the same process are on their way: it is waited for.
if now < opens and opens < now + lasts then redis.call('SET', EPOCH, there .. ' ' .. whole(now + lasts)) end
return { 'now', whole(now) }
