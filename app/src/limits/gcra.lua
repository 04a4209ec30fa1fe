-- The generic cell rate algorithm for several limits at once: a request passes if all of them let it pass, and only then counts
-- against any. Each key holds a time in microseconds, the "theoretical arrival time": when the bucket will be empty again.
--
--   KEYS   one per limit
--   ARGV   for each key: microseconds between two requests at the steady rate, and how many may come at once
--
-- Returns 0 if the request passes, otherwise the microseconds to wait. The clock is that of Redis, so that servers need not agree.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local wait = 0
local next_times = {}
for index, key in ipairs(KEYS) do
    local interval = tonumber(ARGV[2 * index - 1])
    local burst = tonumber(ARGV[2 * index])
    local time = math.max(tonumber(redis.call('GET', key) or '0'), now)
    wait = math.max(wait, time - interval * (burst - 1) - now)
    next_times[index] = time + interval
end
if wait > 0 then
    return wait
end
for index, key in ipairs(KEYS) do
    local lifetime_ms = math.ceil((next_times[index] - now) / 1000)
    -- Lua would write a number of this size as 1.7e+15.
    redis.call('SET', key, string.format('%.0f', next_times[index]), 'PX', lifetime_ms)
end
return 0
