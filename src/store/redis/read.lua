-- How counters stand. ARGV: for each draw kind and rate. Writes nothing.

local there, opens = epoch()
if not there or now < opens then return { 'lost', whole(now) } end

local counted = {}
for index = 1, #ARGV / 2 do
  counted[index] = text(look(index, ARGV[2 * index - 1], ARGV[2 * index]).counted)
end
return { 'read', whole(now), counted }
