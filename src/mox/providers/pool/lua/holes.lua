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

-- Remember a hole that was jumped, and forget the first of many.
local function fill(book, j, hole)
  local filled = dig(book.filled[j], {hole[1], hole[2]})
  while #filled > KEPT do table.remove(filled, 1) end
  book.filled[j] = filled
end

local function jump(book, j, granted)
  local holes = book.holes[j]
  while #holes > 0 and granted >= holes[1][1] do
    local hole = table.remove(holes, 1)
    fill(book, j, hole)
    granted = granted + hole[2] - hole[1]
  end
  return granted
end

local function since(filled, place)
  local sum = 0
  for _, hole in ipairs(filled) do
    if hole[1] >= place - NEAR then sum = sum + hole[2] - hole[1] end
  end
  return sum
end

local function before(holes, place)
  local sum = 0
  for _, hole in ipairs(holes) do
    if hole[2] <= place + NEAR then sum = sum + hole[2] - hole[1] end
  end
  return sum
end
