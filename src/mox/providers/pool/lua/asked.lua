-- Who works here, what there is to see, and what of all this is asked for.

-- A worker that comes back took from accounts what this book didn't see: nothing is left for now.
local function book_rejoin()
  for _, one in ipairs(accounts) do
    local book = not one.others and open(one)
    for j = 1, one.size do
      local took = number()
      if book then book.granted[j] = math.min(book.granted[j], book.booked[j]) - took end
    end
    if book then keep(one) end
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
  return leave('+', {}) .. ' ' .. cjson.encode(out)
end

local operations = {place = book_place, progress = book_progress, settle = book_settle,
  aside = book_aside, rejoin = book_rejoin, beat = book_beat, state = book_state}
for _, one in ipairs(accounts) do
  one.others = taken(one)
  if one.others and op ~= 'rejoin' then return '! ' .. one.key end
end
return operations[op]()
