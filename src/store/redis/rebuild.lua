-- Sets counters that are absent, as long as there is no epoch; begins the epoch with the last part. ARGV: the epoch or nothing,
-- for how long nothing is taken then, how much longer counters are kept (microseconds); then for each draw: kind, until, amount, rate, window.

if redis.call('EXISTS', EPOCH) == 1 then return 'not needed' end

local begins, fence, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST, WIDTH = 4, 5

for index = 1, (#ARGV - FIRST + 1) / WIDTH do
  local kind, till, amount, rate, window = unpack(ARGV, FIRST + (index - 1) * WIDTH, FIRST + index * WIDTH - 1)
  local key = KEYS[1 + 2 * index]
  if redis.call('EXISTS', key) == 0 then
    local counter = { key = key, holds = KEYS[2 + 2 * index], kind = kind, rate = rate }
    counter.level, counter.at, counter.held, counter.stretches, counter.older = number(amount), now, {}, {}, 0
    local last = now
    if kind == 'spend' then last = tonumber(till) elseif kind == 'rate' then last = now + tonumber(window) end
    write(counter, last, kept)
  end
end
if begins ~= '' then redis.call('SET', EPOCH, begins .. ' ' .. whole(now + fence)) end
return 'now'
