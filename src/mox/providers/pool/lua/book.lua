-- An account's book: who waits and runs in it, and how it is kept and told.

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
    local each = redis.call('HGET', coming, lease)
    each = each and cmsgpack.unpack(each) or {speed = 0, length = 0}  -- thrown away by a full Redis
    book.speeds, book.lengths = book.speeds - each.speed, book.lengths - each.length
    if redis.call('ZCARD', running) == 0 then book.speeds, book.lengths = 0, 0 end
  end
  redis.call('HDEL', coming, lease)
end

-- Who begins next, and what is known of it. Of whom a full Redis threw that away, nobody is kept.
local function first_of(waiting, coming)
  while true do
    local lease = redis.call('ZRANGE', waiting, 0, 0)[1]
    local each = lease and redis.call('HGET', coming, lease)
    if each then return lease, cmsgpack.unpack(each) end
    if not lease then return end
    redis.call('ZREM', waiting, lease)
  end
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
    local lease, each = first_of(waiting, coming)
    each = each or book
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

local function level_of(book, j)
  return book.granted[j] - book.booked[j] + before(book.holes[j], book.booked[j])
end

-- Whether somebody may not begin yet.
local function waits(book)
  for j = 1, #book.granted do
    if level_of(book, j) < 0 then return true end
  end
  return false
end

-- Free a place in the queue; whether those behind move up, or will.
local function undo_place(one, j, begin, ends)
  local book, moved = one.book, false
  local granted = book.granted[j]
  if ends >= book.booked[j] - NEAR then
    book.booked[j] = begin
  elseif begin <= granted and granted < ends then
    book.granted[j] = math.min(granted + ends - begin, ends + one.caps[j] * book.share[j])
    fill(book, j, {begin, ends})
    moved = true
  elseif granted < begin and begin < ends then
    book.holes[j], moved = dig(book.holes[j], {begin, ends}), true
  end
  local holes = book.holes[j]
  if #holes > 0 and holes[#holes][2] >= book.booked[j] - NEAR then
    book.booked[j] = table.remove(holes)[1]
  end
  return moved
end

-- Take an account's book out; whether it can't be, since it is kept for other limits by somebody
-- who works here and wrote in it of late, or may wait in it still. Any other begins anew.
local function taken(one)
  local kept = redis.call('GET', one.key)
  local book = kept and cmsgpack.unpack(kept)
  if not book or book.what == one.what then
    one.book = book
    return false
  end
  one.old = book
  for name, wrote in pairs(book.users or {}) do
    local lives = (room.workers[name] or -INF) >= now - WORKER_S
    if lives and math.max(wrote + OTHERS_S, book.queued) >= now then return true end
  end
  return false
end

-- An account's book, brought up to now.
local function open(one)
  local book = one.book
  if not book then
    -- What was begun by other limits is on its way still: nothing is free beforehand. And what
    -- keeps the account from use isn't of its limits.
    if one.old then redis.call('DEL', queues_of(one)) end
    local full, old = one.old and 0 or 1, one.old or {}
    book = {what = one.what, at = now, granted = {}, booked = {}, corrected = {}, owed = {},
      share = {}, target = {}, holes = {}, filled = {}, ramp = one.ramp > 0 and RAMP_START or 1,
      used = now, held = old.held or 0, aside = old.aside or 0, why = old.why or '', free = 0,
      begins = 0, speed = 0, length = 0, speeds = 0, lengths = 0,
      flow = one.out > 0 and (1 + full) * one.caps[one.out] or 0}
    for j = 1, one.size do
      book.granted[j], book.booked[j], book.corrected[j] = full * one.caps[j], 0, 0
      book.share[j], book.target[j], book.holes[j], book.owed[j], book.filled[j] = 1, 1, {}, 0, {}
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
    book.granted[j] = math.min(jump(book, j, granted), book.booked[j] + cap)
  end
  if one.out > 0 then follow(one, passed) end
  for j = 1, one.size do
    book.share[j] = math.min(book.target[j], book.share[j] + RISE * passed)
  end
  if one.ramp > 0 and waits(book) then book.used, one.changed = now, true end
  if one.ramp > 0 and now - math.max(book.used, book.held) > RAMP_IDLE_S then
    book.ramp, one.changed = RAMP_START, true
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

-- Who uses a book, and until when somebody may wait in it.
local function sign(one)
  local book = one.book
  book.users, book.queued = book.users or {}, math.max(now, book.held)
  if not book.users[worker] then  -- those who are gone make room for whoever comes
    for name in pairs(book.users) do
      if not room.workers[name] then book.users[name] = nil end
    end
  end
  book.users[worker] = now
  for j = 1, one.size do
    local short = book.booked[j] - book.granted[j]
    if short > 0 then
      local rate = one.rates[j] * book.share[j] * book.ramp
      book.queued = math.max(book.queued, now + short / rate)
    end
  end
end

-- Keep an account's book for a day, and as long as it is put aside: where nobody said until when,
-- until it is taken back.
local function store(one)
  if op ~= 'state' then sign(one) end  -- who only looks keeps nothing
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
    if j == one.out then  -- less the holes before it, as whoever waits reckons
      local begins = book.begins - before(book.holes[j], book.begins)
      granted = math.min(granted, begins + book.free)
    end
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
