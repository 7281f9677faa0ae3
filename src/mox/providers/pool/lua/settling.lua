-- A call is settled, and what its provider said of the account is kept.

local function judge(provider, lease, verdict, hold_s)
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
  elseif breaker['until'] > 0 and breaker.by == lease then
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
    for j, each in ipairs(by) do
      local rate = one.rates[j] * book.share[j] * book.ramp
      if book.held <= now then book.owed[j] = 0 end
      if each.hit then
        local hit = each.hit + since(book.filled[j], each.hit)
        local held = math.min(book.granted[j], hit - rate * hold_s)
        book.owed[j], book.granted[j] = book.owed[j] + book.granted[j] - held, held
      end
    end
    book.held = math.max(book.held, now + hold_s)
  end
  if slower then book.ramp = math.max(RAMP_START / 4, book.ramp / 2) end
  if aside_s > 0 then book.aside, book.why = now + aside_s, why end
  judge(one.fails, lease, verdict, hold_s)
  open(one)
  keep(one)
  if news then tell_of(one) end
  return leave('+', view(one, {}))
end

-- End a hold, with what it took and time hasn't given back.
local function let_go(one)
  local book = one.book
  local left = math.max(0, book.held - now)
  for j, owed in ipairs(book.owed) do
    local rate = one.rates[j] * book.share[j] * book.ramp
    book.granted[j], book.owed[j] = book.granted[j] + math.min(owed, rate * left), 0
  end
  book.held = 0
end

local function book_aside()
  local one, for_s, why = accounts[1], number(), word()
  local book = open(one)
  if for_s <= 0 then let_go(one) end
  book.aside, book.why = for_s > 0 and now + for_s or 0, for_s > 0 and why or ''
  keep(one)
  tell_of(one)
  return leave('+', view(one, {}))
end
