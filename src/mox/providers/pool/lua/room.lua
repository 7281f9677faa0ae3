-- The pool's arithmetic in Redis, atomic for all accounts of a call: what `books`, `book` and
-- `breaker` say in Python.
-- KEYS: the room that all share, then each account. ARGV: what is done, the accounts' limits, the
-- caller's idea of the time, its name, and what the operation needs. Times are seconds of a clock
-- that never jumps: Redis' own, less its jumps.
local GRACE_S, OPENS_AT, CLOSED_S, CLOSED_AT_MOST_S, PROBE_S = 10, 5, 1, 60, 15
local ACTIVE_S, TENANT_AHEAD_S = 10, 1
local RAMP_START, RAMP_IDLE_S, RAMP_AFTER, RISE, SAFE, WEIGHT = 0.2, 60, 0.5, 0.01, 0.5, 0.2
local KEEP_MS, JUMP_S, WORKER_S, OTHERS_S, INF, NEAR, KEPT = 86400000, 2, 10, 60, 1 / 0, 1e-6, 8

local place = 0
local function word()
  place = place + 1
  return ARGV[place]
end
local function number() return tonumber(word()) end

local op, accounts = word(), {}
for i = 1, number() do
  local one = {key = KEYS[i + 1], fails = word(), what = word(), ramp = number(), size = number(),
    out = number(), rates = {}, caps = {}}
  for j = 1, one.size do one.rates[j], one.caps[j] = number(), number() end
  accounts[i] = one
end
local claimed, worker = number(), word()

-- The room: its clock, who works here, which providers fail, which tenants ask.
local stored = redis.call('GET', KEYS[1])
local room = stored and cmsgpack.unpack(stored)
  or {last = 0, shift = 0, workers = {}, breakers = {}, tenants = {}}
local t = redis.call('TIME')
local clock, changed = tonumber(t[1]) + tonumber(t[2]) / 1e6, not stored
if clock < room.last then
  room.shift, changed = room.shift + room.last - clock, true
elseif claimed > 0 and room.last > 0 and clock - room.last > JUMP_S
    and clock + room.shift - claimed > JUMP_S then
  room.shift, changed = claimed - clock, true
end
if changed or clock - room.last > 0.5 then room.last, changed = clock, true end
local now = clock + room.shift

local function text(value) return string.format('%.17g', value) end
local function mean(old, new) return old == 0 and new or old + WEIGHT * (new - old) end
