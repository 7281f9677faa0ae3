-- The pool's arithmetic in Redis, atomic for all accounts of a call: what `books`, `book` and
-- `breaker` say in Python.
-- KEYS: the room that all share, then each account. ARGV: what is done, the accounts' limits, the
-- caller's idea of the time, its name, and what the operation needs. Times are seconds of a clock
-- that never jumps: Redis' own, less its jumps.
local GRACE_S, OPENS_AT, CLOSED_S, CLOSED_AT_MOST_S, PROBE_S = 10, 5, 1, 60, 15
local ACTIVE_S, TENANT_AHEAD_S = 10, 1
local RAMP_START, RAMP_IDLE_S, RAMP_AFTER, RISE, SAFE, WEIGHT = 0.2, 60, 0.5, 0.01, 0.5, 0.2
local KEEP_MS, JUMP_S, WORKER_S, INF, NEAR = 86400000, 2, 10, 1 / 0, 1e-6

local place = 0
local function word()
  place = place + 1
  return ARGV[place]
end
local function number() return tonumber(word()) end

local op, accounts = word(), {}
for i = 1, number() do
  local one = {key = KEYS[i + 1], fails = word(), ramp = number(), size = number(), out = number(),
    rates = {}, caps = {}}
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

-- Who hasn't begun, in order; what is known of who waits or runs; who runs, until it counts no
-- more. The speeds and lengths of those that run are summed in the book.
local function queues_of(one)
  return one.key .. ':waiting', one.key .. ':coming', one.key .. ':running'
end

-- What answers of so much speed and length together will make above the rate: half of each is left.
local function to_come(speed, length, rate)
  if speed <= 0 then return 0 end
  return math.max(0, 1 - rate / speed) * length / 2
end

-- An answer neither waits nor runs any more.
local function ended(one, lease)
  local book, waiting, coming, running = one.book, queues_of(one)
  redis.call('ZREM', waiting, lease)
  if redis.call('ZREM', running, lease) > 0 then
    local each = cmsgpack.unpack(redis.call('HGET', coming, lease))
    book.speeds, book.lengths = book.speeds - each.speed, book.lengths - each.length
    if redis.call('ZCARD', running) == 0 then book.speeds, book.lengths = 0, 0 end
  end
  redis.call('HDEL', coming, lease)
end

-- Follow the provider's own bucket of output, and let nobody begin on what isn't there.
local function follow(one, passed)
  local book, out = one.book, one.out
  local waiting, coming, running = queues_of(one)
  local rate, cap = one.rates[out] * book.share[out], one.caps[out] * book.share[out]
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', '(' .. text(now))) do
    ended(one, lease)
  end
  book.flow = math.min(2 * cap, book.flow + (rate - book.speeds) * passed)
  while true do
    local lease = redis.call('ZRANGE', waiting, 0, 0)[1]
    local each = lease and cmsgpack.unpack(redis.call('HGET', coming, lease)) or book
    local speeds, lengths = book.speeds + each.speed, book.lengths + each.length
    book.free = book.flow - cap - to_come(speeds, lengths, rate)
    book.begins = lease and each.marks[out] or book.booked[out]
    local may = lease and book.free >= 0
    if may then
      for j, mark in ipairs(each.marks) do may = may and mark <= book.granted[j] end
    end
    if not may then break end
    redis.call('ZREM', waiting, lease)
    local lasts = each.speed > 0 and each.length / each.speed or 0
    redis.call('ZADD', running, text(now + lasts + GRACE_S), lease)
    redis.call('PEXPIRE', running, KEEP_MS)
    redis.call('PEXPIRE', coming, KEEP_MS)
    book.speeds, book.lengths = speeds, lengths
  end
  book.granted[out] = math.min(book.granted[out], book.begins + math.max(0, book.free))
end

-- Bookings that were undone among those who wait: `holes` in Python.
local function dig(holes, hole)
  holes[#holes + 1] = hole
  table.sort(holes, function(a, b) return a[1] < b[1] end)
  local rows = {}
  for _, each in ipairs(holes) do
    if #rows > 0 and each[1] <= rows[#rows][2] + NEAR then
      rows[#rows][2] = each[2]
    else
      rows[#rows + 1] = each
    end
  end
  return rows
end

local function jump(holes, granted)
  while #holes > 0 and granted >= holes[1][1] do
    local hole = table.remove(holes, 1)
    granted = granted + hole[2] - hole[1]
  end
  return granted
end

local function level_of(book, j)
  local level = book.granted[j] - book.booked[j]
  for _, hole in ipairs(book.holes[j]) do level = level + hole[2] - hole[1] end
  return level
end

-- Free a place in the queue; whether a hole is left of it.
local function undo_place(one, j, begin, ends)
  local book, dug = one.book, false
  local granted = book.granted[j]
  if ends >= book.booked[j] - NEAR then
    book.booked[j] = begin
  elseif begin <= granted and granted < ends then
    book.granted[j] = math.min(granted + ends - begin, ends + one.caps[j] * book.share[j])
  elseif granted < begin and begin < ends then
    book.holes[j], dug = dig(book.holes[j], {begin, ends}), true
  end
  local holes = book.holes[j]
  if #holes > 0 and holes[#holes][2] >= book.booked[j] - NEAR then
    book.booked[j] = table.remove(holes)[1]
  end
  return dug
end

-- An account's book, brought up to now.
local function open(one)
  local book = one.book
  if not book then
    local kept = redis.call('GET', one.key)
    book = kept and cmsgpack.unpack(kept)
  end
  if not book or #book.granted ~= one.size or not book.speeds then  -- or of an older Mox
    book = {at = now, granted = {}, booked = {}, corrected = {}, share = {}, target = {}, holes = {},
      ramp = one.ramp > 0 and RAMP_START or 1, used = now, held = 0, aside = 0, why = '',
      flow = one.out > 0 and 2 * one.caps[one.out] or 0, free = 0, begins = 0, speed = 0, length = 0,
      speeds = 0, lengths = 0}
    for j = 1, one.size do
      book.granted[j], book.booked[j], book.corrected[j] = one.caps[j], 0, 0
      book.share[j], book.target[j], book.holes[j] = 1, 1, {}
    end
  end
  local passed = math.max(0, now - book.at)
  one.book = book
  -- What grows is kept at each look, as in Python: in other steps it would come to something else.
  one.changed = one.changed or book.ramp < 1
  for j = 1, one.size do one.changed = one.changed or book.share[j] < book.target[j] end
  for j = 1, one.size do
    local granted = book.granted[j] + one.rates[j] * book.share[j] * book.ramp * passed
    local cap = one.caps[j] * book.share[j]
    one.changed = one.changed or #book.holes[j] > 0
    book.granted[j] = math.min(jump(book.holes[j], granted), book.booked[j] + cap)
  end
  if one.out > 0 then follow(one, passed) end
  for j = 1, one.size do
    book.share[j] = math.min(book.target[j], book.share[j] + RISE * passed)
  end
  if one.ramp > 0 and now - book.used > RAMP_IDLE_S then
    book.ramp = RAMP_START
  elseif book.ramp < 1 then
    local by = one.ramp > 0 and one.ramp or RAMP_AFTER
    book.ramp = math.min(1, book.ramp * (1 + by) ^ (passed / 60))
  end
  book.at = now
  return book
end

local function keep(one) one.changed = true end

local function line(said, numbers)
  local out = {said, text(now)}
  for i = 1, #numbers do out[i + 2] = text(numbers[i]) end
  return table.concat(out, ' ')
end

-- Keep an account's book for a day, and as long as it is put aside: where nobody said until when,
-- until it is taken back.
local function store(one)
  local packed, aside_ms = cmsgpack.pack(one.book), (one.book.aside - now) * 1000
  if aside_ms == INF then
    redis.call('SET', one.key, packed)
  else
    local keep_ms = math.max(KEEP_MS, math.ceil(aside_ms))
    redis.call('SET', one.key, packed, 'PX', string.format('%.0f', keep_ms))
  end
end

local function leave(said, numbers)
  if changed then redis.call('SET', KEYS[1], cmsgpack.pack(room), 'PX', KEEP_MS) end
  for _, one in ipairs(accounts) do
    -- Also where only time passed, if somebody may have begun in it.
    if one.book and (one.changed or one.out > 0) then store(one) end
  end
  return line(said, numbers)
end

local function view(one, numbers)
  local book, breaker = one.book, room.breakers[one.fails]
  local held = math.max(book.held, book.aside, breaker and breaker['until'] or 0)
  numbers[#numbers + 1] = math.max(0, held - now)
  numbers[#numbers + 1] = one.size
  for j = 1, one.size do
    local granted = book.granted[j]
    if j == one.out then granted = math.min(granted, book.begins + book.free) end
    numbers[#numbers + 1] = granted
    numbers[#numbers + 1] = book.corrected[j]
    numbers[#numbers + 1] = one.rates[j] * book.share[j] * book.ramp
  end
  for j = 1, one.size do
    for _, hole in ipairs(book.holes[j]) do
      numbers[#numbers + 1], numbers[#numbers + 2], numbers[#numbers + 3] = j - 1, hole[1], hole[2]
    end
  end
  return numbers
end

-- What those who wait in other processes have to know before they next ask.
local function tell(what) redis.call('PUBLISH', KEYS[1] .. ':news', what) end
local function tell_of(one) tell(line('account ' .. one.key, view(one, {}))) end

local function refused(why, wait, detail)
  return leave('-', {wait}) .. ' ' .. why .. ' ' .. (detail or '')
end

local function share_of(tenant)
  local sum = 0
  for _, each in pairs(room.tenants) do
    if each.seen > now - ACTIVE_S then sum = sum + each.weight end
  end
  return room.tenants[tenant].weight / sum
end

local function start_of(i)
  local one = accounts[i]
  local book = one.book
  local best = {at = i, start = math.max(0, book.held - now), room = INF, ahead = 0}
  for j, cost in ipairs(one.costs) do
    local rate = one.rates[j] * book.share[j] * book.ramp
    local cap, level = one.caps[j] * book.share[j], level_of(book, j)
    -- Output needs no room beforehand: it is charged as it is made.
    local first = j == one.out and 0 or math.min(cost, cap)
    best.start = math.max(best.start, (first - level) / rate)
    best.ahead = math.max(best.ahead, -level / rate)
    best.room = math.min(best.room, (level - cost) / rate)
  end
  return best
end

local function book_place()
  local lease, max_wait, ahead_s, tenant, weight = word(), number(), number(), word(), number()
  local best, free, closed, tried, aside, why = nil, 0, INF, false, INF, ''
  for i, one in ipairs(accounts) do
    one.speed, one.costs = number(), {}
    for j = 1, one.size do one.costs[j] = number() end
    local book, breaker = open(one), room.breakers[one.fails]
    local closed_until = 0
    if breaker and breaker['until'] > 0 then
      closed_until = breaker['until'] > now and breaker['until'] or breaker.probe
    end
    if book.aside > now then
      if book.aside - now <= aside then aside, why = book.aside - now, book.why end
    elseif closed_until > now then
      closed = math.min(closed, closed_until - now)
      tried = tried or breaker['until'] <= now
    else
      free = free + 1
      local found = start_of(i)
      if not best or found.start < best.start - 1e-6
          or (found.start <= best.start + 1e-6 and found.room > best.room) then
        best = found
      end
    end
  end
  if not best then
    if closed < INF then return refused(tried and 'tried' or 'closed', closed) end
    return refused('aside', aside, why)
  end
  if best.start > max_wait then return refused('late', best.start) end

  local wait = 0
  if best.ahead > ahead_s then wait = best.ahead - ahead_s / 2 end
  local mine
  if tenant ~= '' then
    mine = room.tenants[tenant] or {ahead = 0}
    room.tenants[tenant], mine.seen, mine.weight, changed = mine, now, weight, true
    local ahead = mine.ahead - now
    if share_of(tenant) < 1 and best.start > 0.01 and ahead > TENANT_AHEAD_S then
      wait = math.max(wait, math.min(ahead - TENANT_AHEAD_S / 2, best.start))
    end
  end
  if wait > 0 then return refused('turn', wait) end

  local one = accounts[best.at]
  local book, longest, numbers, marks = one.book, 0, {best.at - 1, best.start, 0}, {}
  for j, cost in ipairs(one.costs) do
    marks[j] = book.booked[j] + (j == one.out and 0 or math.min(cost, one.caps[j] * book.share[j]))
    book.booked[j] = book.booked[j] + cost
    numbers[#numbers + 1] = marks[j]
    numbers[#numbers + 1] = book.booked[j]
    longest = math.max(longest, cost / (one.rates[j] * book.share[j] * book.ramp))
  end
  if one.out > 0 then
    local waiting, coming = queues_of(one)
    book.length = mean(book.length, one.costs[one.out])
    if one.speed > 0 then book.speed = mean(book.speed, one.speed) end
    local speed = one.speed > 0 and one.speed or book.speed
    numbers[3] = speed
    redis.call('ZADD', waiting, text(marks[one.out]), lease)
    redis.call('HSET', coming, lease,
      cmsgpack.pack({marks = marks, speed = speed, length = one.costs[one.out]}))
    redis.call('PEXPIRE', waiting, KEEP_MS)
    redis.call('PEXPIRE', coming, KEEP_MS)
  end
  book.used = now
  if mine then
    mine.ahead = math.max(mine.ahead, now) + longest / free / share_of(tenant)
  end
  local breaker = room.breakers[one.fails]
  if breaker and breaker['until'] > 0 then
    breaker.probe, changed = now + best.start + PROBE_S, true
  end
  open(one)  -- it may begin at once
  keep(one)
  return leave('+', view(one, numbers))
end

local function book_progress()
  local one, lease, flow, beyond = accounts[1], word(), number(), number()
  local book = open(one)
  if one.out > 0 then
    local _, _, running = queues_of(one)
    redis.call('ZADD', running, 'XX', 'GT', text(now + GRACE_S), lease)
    book.flow, book.granted[one.out] = book.flow - flow, book.granted[one.out] - beyond
    open(one)
  end
  keep(one)
  return leave('+', view(one, {}))
end

local function judge(provider, verdict, hold_s)
  local breaker = room.breakers[provider]
  if verdict < 0 then
    breaker = breaker or {score = 0, ['until'] = 0, probe = 0, for_s = CLOSED_S}
    if breaker['until'] > now then return end  -- sent before it was closed
    breaker.score = breaker.score + 1
    if breaker['until'] > 0 or breaker.score >= OPENS_AT then
      breaker['until'] = now + math.max(breaker.for_s, hold_s)
      breaker.probe = 0
      breaker.for_s = math.min(CLOSED_AT_MOST_S, breaker.for_s * 2)
      tell('provider ' .. provider .. ' ' .. text(breaker['until'] - now))
    end
    room.breakers[provider] = breaker
  elseif not breaker then
    return
  elseif verdict > 0 then
    if (breaker['until'] > 0 and breaker['until'] <= now) or breaker.score < 0.01 then
      room.breakers[provider] = nil
    else
      breaker.score = breaker.score / 2
    end
  elseif breaker['until'] > 0 then
    breaker.probe = 0  -- whoever tried has given up
  end
  changed = true
end

local function book_settle()
  local one, lease = accounts[1], word()
  local undo, hold_s, slower, verdict = number() > 0, number(), number() > 0, number()
  local aside_s, why, flow = number(), word(), number()
  local book, by, news = open(one), {}, hold_s > 0 or aside_s > 0
  for j = 1, one.size do  -- '-' is not known
    by[j] = {back = number(), ends = number(), hit = number(), left = number(), share = number()}
  end
  if one.out > 0 then
    ended(one, lease)
    book.flow = book.flow - flow
  end
  for j, each in ipairs(by) do
    if undo then
      news = undo_place(one, j, each.ends - each.back, each.ends) or news
    else
      book.granted[j] = book.granted[j] + each.back
      news = news or each.back > SAFE * one.caps[j] * book.share[j]  -- those who wait move up far
    end
    if each.share then
      book.target[j] = math.min(1, each.share)
      news = news or book.target[j] < book.share[j]
      book.share[j] = math.min(book.share[j], book.target[j])
    end
    if each.left then
      local short = each.left - book.corrected[j] + SAFE * one.caps[j] * book.share[j]
      if short > 0 then
        book.granted[j], book.corrected[j] = book.granted[j] - short, book.corrected[j] + short
        if j == one.out then book.flow = book.flow - short end
      end
    end
  end
  if hold_s > 0 then
    book.held = math.max(book.held, now + hold_s)
    for j, each in ipairs(by) do
      local rate = one.rates[j] * book.share[j] * book.ramp
      if each.hit then book.granted[j] = math.min(book.granted[j], each.hit - rate * hold_s) end
    end
  end
  if slower then book.ramp = math.max(RAMP_START / 4, book.ramp / 2) end
  if aside_s > 0 then book.aside, book.why = now + aside_s, why end
  judge(one.fails, verdict, hold_s)
  open(one)
  keep(one)
  if news then tell_of(one) end
  return leave('+', view(one, {}))
end

local function book_aside()
  local one, for_s, why = accounts[1], number(), word()
  local book = open(one)
  book.aside, book.why = for_s > 0 and now + for_s or 0, for_s > 0 and why or ''
  keep(one)
  tell_of(one)
  return leave('+', view(one, {}))
end

-- A worker that comes back took from accounts what this book didn't see: nothing is left for now.
local function book_rejoin()
  for _, one in ipairs(accounts) do
    local book = open(one)
    for j = 1, one.size do
      book.granted[j] = math.min(book.granted[j], book.booked[j]) - number()
    end
    keep(one)
  end
  return leave('+', {})
end

local function book_beat()
  local count = 0
  room.workers[worker], changed = now, true
  for name, seen in pairs(room.workers) do
    if seen < now - WORKER_S then room.workers[name] = nil else count = count + 1 end
  end
  if number() > 0 then room.workers[worker] = nil end
  for name, each in pairs(room.tenants) do
    if each.seen < now - 10 * ACTIVE_S then room.tenants[name] = nil end
  end
  return leave('+', {count})
end

local function book_state()
  local out = {}
  for i, one in ipairs(accounts) do
    local book, breaker = open(one), room.breakers[one.fails]
    local levels, rates, waiting, _, running = {}, {}, queues_of(one)
    for j = 1, one.size do
      levels[j] = level_of(book, j)
      rates[j] = one.rates[j] * book.share[j] * book.ramp
    end
    out[i] = {levels = levels, rates = rates, held_s = math.max(0, book.held - now),
      aside = book.aside > now, aside_s = book.aside < INF and math.max(0, book.aside - now) or -1,
      why = book.why, flow = book.flow, waiting = one.out > 0 and redis.call('ZCARD', waiting) or 0,
      running = one.out > 0 and redis.call('ZCARD', running) or 0,
      closed_s = breaker and math.max(0, breaker['until'] - now) or 0}
  end
  return cjson.encode(out)
end

local operations = {place = book_place, progress = book_progress, settle = book_settle,
  aside = book_aside, rejoin = book_rejoin, beat = book_beat, state = book_state}
return operations[op]()
