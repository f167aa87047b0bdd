-- Gives back the places of a hold, which are its draws of what is open. ARGV: the hold's id, when it expires, how much longer
-- counters are kept (microseconds); then for each of these draws the amount taken.

if redis.call('EXISTS', EPOCH) == 0 then return { 'lost', whole(now) } end

local id, expires, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST = 4

-- What has expired was given back by itself.
if now >= expires then return { 'nothing', whole(now) } end

local given = false
for index = 1, #ARGV - FIRST + 1 do
  local amount = number(ARGV[FIRST + index - 1])
  local counter = look(index, 'open', '0')
  if redis.call('ZREM', counter.holds, id .. ':' .. text(amount)) == 1 then
    drop_expired(counter)
    counter.held = minus(counter.held, amount)
    write(counter, expires, kept)
    given = true
  end
end
return { given and 'now' or 'nothing', whole(now) }
