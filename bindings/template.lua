-- template.lua - the global `template`: texts with {{ name }} in them. No logic on purpose: what decides stands in the
-- recipe. meta/template.lua documents the functions.
local dr = ...

local plain = { string = true, number = true, boolean = true }

local function line_of(text, position)
  local _, lines = text:sub(1, position - 1):gsub("\n", "")
  return lines + 1
end

local function wrong(what, text, position, problem, hint)
  return dr.fail { code = "template.syntax", hint = hint,
    message = ("%s, line %d: %s"):format(what, line_of(text, position), problem) }
end

-- The value of a name; "a.b" goes into tables.
local function value_of(variables, name)
  local value = variables
  for key in name:gmatch("[^.]+") do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return value
end

local function names_of(variables)
  local names = {}
  for name in pairs(variables) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

local function put(what, text, position, name, variables)
  local value = value_of(variables, name)
  if value == nil then
    local names = names_of(variables)
    local near = dr.near(name, names)
    return dr.fail { code = "template.unknown",
      message = ("%s, line %d: there is no value for {{ %s }}"):format(what, line_of(text, position), name),
      hint = near and ("did you mean '%s'?"):format(near) or "there are: " .. table.concat(names, ", ") }
  end
  if not plain[type(value)] then
    return wrong(what, text, position, ("{{ %s }} is a %s, not text"):format(name, type(value)))
  end
  return tostring(value)
end

local function render(what, text, variables)
  if type(text) ~= "string" or type(variables) ~= "table" then
    return dr.fail { code = "recipe.argument", message = "template.render takes a text and a table of values",
      hint = "template.render(\"port = {{ port }}\", { port = 8000 })" }
  end
  local parts, at = {}, 1
  while true do
    local open = text:find("{{", at, true)
    if not open then break end
    if text:sub(open - 1, open - 1) == "\\" then
      parts[#parts + 1] = text:sub(at, open - 2) .. "{{"
      at = open + 2
    else
      local close = text:find("}}", open, true)
      if not close then
        wrong(what, text, open, "{{ is not closed by }}", "write \\{{ for two braces that are meant as they are")
      end
      local name = text:sub(open + 2, close - 1):match("^%s*([%a_][%w_.-]*)%s*$")
      if not name then
        wrong(what, text, open, ("{{%s}} is no name"):format(text:sub(open + 2, close - 1)),
          "a template has names only; decide in the recipe. \\{{ stands for two braces")
      end
      parts[#parts + 1] = text:sub(at, open - 1) .. put(what, text, open, name, variables)
      at = close + 2
    end
  end
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts)
end

local template = {}

function template.render(text, variables) return render("the template", text, variables) end

-- The same with the text of a file of this machine.
function template.file(path, variables) return render(path, dr.globals.fs.read(path), variables) end

dr.global("template", setmetatable({}, dr.class("template", template)))
