-- A call takes its place on one of its accounts, and says how much of its answer has come.

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
  if not best or best.start > max_wait then
    local said, first = 'aside', aside
    if closed < first then said, first, why = 'closed', closed, '' end
    if best and best.start < first then
      local held = accounts[best.at].book.held - now > max_wait
      said, first, why = held and 'held' or 'late', best.start, ''
    end
    if tried then return refused('tried', first) end
    return refused(said, first, why)
  end

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
    breaker.probe, breaker.by, changed = now + best.start + PROBE_S, lease, true
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
