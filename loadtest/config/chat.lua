-- The client's side of one measurement, for wrk. Arguments after `--`:
--   METHOD PATH BODY-FILE TOKENS-FILE [PAUSE]
-- A request for every token, sent in rotation. With a pause, each connection waits a random time before a request, PAUSE
-- milliseconds on average; the wait is not part of the latency. Prints one line, `RESULT` and a JSON object; times in microseconds.

local requests, turn = {}, 0

function init(args)
   local method, path, body_file, tokens_file, pause = args[1], args[2], args[3], args[4], tonumber(args[5])
   local file = assert(io.open(body_file, "rb"))
   local body = file:read("*a")
   file:close()
   if body == "" then body = nil end
   for token in io.lines(tokens_file) do
      local headers = {
         ["Authorization"] = "Bearer " .. token,
         ["Accept"] = "application/json, text/plain, */*",
         ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
      }
      if body then headers["Content-Type"] = "application/json" end
      requests[#requests + 1] = wrk.format(method, path, headers, body)
   end
   if pause then
      math.randomseed(1)
      delay = function() return math.random(0, 2 * pause) end
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests":%d,"duration":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
