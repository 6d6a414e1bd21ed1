-- group.lua - groups of hosts: the global `hosts`, and what a group can do: everything a target can, on all of its
-- hosts at the same time. See meta/group.lua for the documentation, runtime/lua/parallel.lua for how it is done.
local dr = ...
local core, Target = dr.core, dr.Target
local same, target_name = core.group.same, core.target.name
local parallel = dr.globals.parallel

-- What stands behind each group: {members, options}. A member is {name, target, host}; `host` is what its views share:
-- {target, connected, problem}.
local inside = setmetatable({}, { __mode = "k" })

local Group = {}

local wrong = dr.wrong

local function is_group(value) return getmetatable(value) == "hosts" end
local function is_target(value) return getmetatable(value) == "target" end

-- ---------------------------------------------------------------------------------------------- the object

local group_options = dr.sorted_keys(dr.parallel_options)

-- An unknown option of a method may have been meant to be one of the group's.
local function with_group_options(problem)
  local name = dr.is_error(problem) and problem.code == "recipe.option" and problem.message:match("option '(.*)'$")
  if not name then return problem end
  local own, all = (problem.hint or ""):match("^did you mean '(.-)'%? (.*)$")
  all = (all or problem.hint or ""):gsub("are: ", "%0" .. table.concat(group_options, ", ") .. ", ", 1)
  local names = table.move(group_options, 1, #group_options, 1, {})
  names[#names + 1] = own
  local near = dr.near(name, names)
  problem.hint = near and ("did you mean '%s'? %s"):format(near, all:gsub("^%l", string.upper)) or all
  return problem
end

-- A method of targets, on each host: web:write(path, text). Group options may stand in the last argument.
local function on_each(method)
  local function call(target, ...)
    local answer = table.pack(dr.rawpcall(target[method], target, ...))
    if not answer[1] then dr.rawerror(with_group_options(answer[2]), 0) end
    return answer[2]
  end
  return function(group, ...)
    local args = table.pack(...)
    local options = {}
    local last = args[args.n]
    if type(last) == "table" and #last == 0 and not is_group(last) then
      local rest = {}
      for name, value in next, last do (dr.parallel_options[name] and options or rest)[name] = value end
      if next(options) ~= nil then args[args.n] = rest end
    end
    local results = parallel(group, options, function(target) return call(target, table.unpack(args, 1, args.n)) end)
    dr.made_by[results] = method
    return results
  end
end

local views = { cd = true, sudo = true, as = true, env = true }

local methods = {}

local function unknown(key)
  local names = dr.sorted_keys(Group)
  for _, name in ipairs(dr.names_in(Target)) do names[#names + 1] = name end
  local near = dr.near(key, names)
  return dr.fail { code = "recipe.unknown_method", message = ("a group of hosts has no '%s'"):format(key),
    hint = near and ("did you mean '%s'?"):format(near) or "it has the methods of a target, and each, only, except, "
      .. "names, reachable, with" }
end

local class = {
  __name = "hosts",
  __metatable = "hosts",
  __index = function(_, key)
    if type(key) ~= "string" then return nil end
    if Group[key] then return Group[key] end
    if methods[key] then return methods[key] end
    if key:sub(1, 1) == "_" or type(Target[key]) ~= "function" then return unknown(key) end
    methods[key] = on_each(key)
    return methods[key]
  end,
  __newindex = function()
    wrong("a group of hosts cannot be changed", "hosts { group, \"another\" } makes a new one")
  end,
  __tostring = function(group)
    local names = group:names()
    return ("%s (%d %s)"):format(dr.some(names, 6), #names, #names == 1 and "host" or "hosts")
  end,
}

local function new_group(members, options)
  local group = {}
  for i, member in ipairs(members) do group[i] = member.target end
  inside[group] = { members = members, options = options or {} }
  return setmetatable(group, class)
end

-- The same hosts, each through fn.
local function map(group, fn)
  local members = {}
  for i, member in ipairs(inside[group].members) do
    members[i] = { name = member.name, host = member.host, target = fn(member.target) }
  end
  return new_group(members, inside[group].options)
end

for name in next, views do
  Group[name] = function(group, ...)
    local args = table.pack(...)
    return map(group, function(target) return Target[name](target, table.unpack(args, 1, args.n)) end)
  end
end

function Group:name() return tostring(self) end

function Group:names()
  local names = {}
  for i, member in ipairs(inside[self].members) do names[i] = member.name end
  return names
end

-- ---------------------------------------------------------------------------------------------- parts of a group

-- The set of the names in `...`, each of which the group must have.
local function named(group, method, ...)
  local known, set = {}, {}
  for _, member in ipairs(inside[group].members) do known[member.name] = true end
  for _, name in ipairs { ... } do
    if not known[name] then
      local near = type(name) == "string" and dr.near(name, group:names())
      wrong((":%s: there is no host '%s' in the group"):format(method, tostring(name)),
        near and ("did you mean '%s'?"):format(near) or "there are: " .. dr.some(group:names(), 12))
    end
    set[name] = true
  end
  return set
end

local function part(group, method, keep)
  local members = {}
  for _, member in ipairs(inside[group].members) do
    if keep(member) then members[#members + 1] = member end
  end
  if #members == 0 then
    wrong((":%s leaves no host"):format(method), "what is done to no host would look like success")
  end
  return new_group(members, inside[group].options)
end

function Group:only(...)
  local set = named(self, "only", ...)
  return part(self, "only", function(member) return set[member.name] end)
end

function Group:except(...)
  local set = named(self, "except", ...)
  return part(self, "except", function(member) return not set[member.name] end)
end

-- The group with options for all that is done with it.
function Group:with(options)
  if type(options) ~= "table" then wrong(":with takes a table, for example :with { batch = \"25%\" }") end
  dr.check_options(":with", options, dr.parallel_options)
  local all = {}
  for _, some in ipairs { inside[self].options, options } do
    for name, value in next, some do all[name] = value end
  end
  return new_group(inside[self].members, all)
end

function Group:each(options, fn)
  if fn == nil then options, fn = {}, options end
  return parallel(self, options, fn)
end

-- The hosts that answer, all being asked again. How many may be missing: max_fail, any number unless said.
function Group:reachable(options)
  options = options or {}
  for _, member in ipairs(inside[self].members) do member.host.connected, member.host.problem = nil, nil end
  if options.max_fail == nil then options = { on_error = "continue" } end
  local answered = parallel(self, options, function() return true end)
  return part(self, "reachable", function(member) return answered[member.name].ok end)
end

-- ---------------------------------------------------------------------------------------------- connecting

-- Connects the hosts that this walk has not connected yet, all at the same time. Gives why not, by place in the group.
-- One that could not be reached is not asked again: it would cost its time with each use, and a host that comes back
-- in between would get the later steps without the earlier ones.
local function connect_all(group, lane_name)
  local members, waiting, places = inside[group].members, {}, {}
  for i, member in ipairs(members) do
    if not member.host.connected and not member.host.problem then
      waiting[#waiting + 1], places[#places + 1] = member.host, i
    end
  end
  local results = dr.lanes { items = waiting, lane_name = function(i) return lane_name(places[i]) end,
    fn = function(host) dr.connect(host.target) end }
  for i, result in ipairs(results) do
    waiting[i].connected, waiting[i].problem = result.ok, result.error
  end
  local problems = {}
  for i, member in ipairs(members) do problems[i] = member.host.problem end
  return problems
end

-- What parallel wants to know of a list: nil when it is no group.
function dr.group(items)
  local self = inside[items]
  if not self then return nil end
  return {
    names = items:names(),
    options = function(given)
      local all = {}
      for _, some in ipairs { self.options, given } do
        for name, value in next, some do all[name] = value end
      end
      return all
    end,
    connect = function(lane_name) return connect_all(items, lane_name) end,
  }
end

-- ---------------------------------------------------------------------------------------------- making one

local reserved = { ok = true, failed = true, skipped = true }

-- Adds a member. One that comes twice by way of groups is the same host; one that is written twice is a slip.
local function add(list, member, by_group)
  local other = list.by_name[member.name]
  if other and by_group and same(other.target, member.target) then return end
  if other then
    wrong(("hosts: '%s' is there twice"):format(member.name), other and by_group
      and "both are called so, but they are not the same user, port or folder: give one another name"
      or ("leave one out, or give it another name: { \"%s\", name = \"…\" }"):format(member.name))
  end
  if reserved[member.name] then
    wrong(("hosts: a host in a group cannot be called '%s'"):format(member.name),
      "results have a list of that name; give it another: { \"" .. member.name .. "\", name = \"…\" }")
  end
  list.by_name[member.name] = member
  list[#list + 1] = member
end

local function add_target(list, target, by_group)
  add(list, { name = target_name(target), target = target, host = { target = target } }, by_group)
end

local add_all

local function add_item(list, item, defaults)
  if is_group(item) then
    for _, member in ipairs(inside[item].members) do add(list, member, true) end
  elseif is_target(item) then
    add_target(list, item, true)
  elseif type(item) == "string" then
    add_target(list, dr.make_host({ item }, defaults))
  elseif type(item) ~= "table" then
    wrong(("hosts takes names, tables of options, targets and groups, not %s"):format(type(item)),
      "hosts { \"web1\", { \"web2\", port = 2222 }, user = \"deploy\" }")
  elseif type(item[1]) == "string" and item[2] == nil or item.host ~= nil then
    add_target(list, dr.make_host(item, defaults))
  else
    add_all(list, item, defaults)
  end
end

-- The items of a table in order; its named fields are defaults for all of them.
function add_all(list, items, outer)
  local defaults, count = {}, 0
  for name, value in next, outer do defaults[name] = value end
  for key, value in next, items do
    if math.type(key) == "integer" then count = count + 1 else defaults[key] = value end
  end
  dr.check_options("hosts", defaults, dr.host_options)
  if defaults.name ~= nil or defaults.host ~= nil then
    wrong("hosts: 'name' and 'host' belong to one host", "hosts { { \"10.0.0.7\", name = \"web7\" } }")
  end
  if count ~= #items then wrong("hosts: there is a hole (nil) in the list") end
  for _, item in ipairs(items) do add_item(list, item, defaults) end
end

dr.global("hosts", function(items)
  if is_group(items) then return items end
  if type(items) ~= "table" then
    wrong("hosts takes a table, not " .. type(items), "hosts { \"web1\", \"web2\", user = \"deploy\" }")
  end
  local list = { by_name = {} }
  add_all(list, items, {})
  if #list == 0 then
    wrong("hosts: the list is empty", "what is done to no host would look like success")
  end
  return new_group(list)
end)

