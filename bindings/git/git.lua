-- git.lua - target:git(folder), a checkout on a target, and git.open(folder), one on this machine by libgit2. See
-- git.c for the ops, meta/git.lua for the documentation.
local dr = ...
local Target = dr.Target
local op = {}
for _, name in ipairs { "head", "commit", "branch", "status", "is_checkout", "log", "changed", "tags", "is_pushed",
  "fetch", "pull", "update", "checkout", "checkout_hard", "reset", "reset_hard", "revert", "tag", "push", "stash",
  "pop", "clone" } do
  op[name] = dr.op("git." .. name)
end

local Checkout = {}
local class = dr.class("git checkout", Checkout)

-- Each checkout is two views of its target: where it is, and from where its folder is named. `library` says that
-- libgit2 answers what only reads.
local views = setmetatable({}, { __mode = "k" })

local function view(checkout)
  return views[checkout] or dr.fail { code = "recipe.argument", message = "a git checkout is needed here",
    hint = "call its methods with a colon: checkout:pull()" }
end

local function new(target, folder, library)
  local checkout = setmetatable({}, class)
  views[checkout] = { inside = folder and target:cd(folder) or target, outside = target, folder = folder or ".",
    library = library }
  return checkout
end

function Target:git(folder) return new(self, folder) end

local git = {}
dr.global("git", setmetatable({}, dr.class("git", git)))

function git.open(folder)
  if type(folder) ~= "string" or folder == "" then
    dr.fail { code = "recipe.argument", message = "git.open takes the folder of a checkout on this machine" }
  end
  return new(dr.core.target.host("local", { host = "local" }), folder, true)
end

-- The arguments of an op: those the method set, and its options.
local function with_options(name, options, args)
  local method = name:gsub("_hard$", "")
  local hard = method == "checkout" or method == "reset"
  local set = dr.copy(args)
  set.library = true
  dr.check_op_options("checkout:" .. method, "git." .. name, options, set, { hard = hard or nil })
  return dr.with_options(method, options, args)
end

-- What changes files or goes over the network: the program git, also for git.open.
local function by_git(name, checkout, options, args)
  return op[name](view(checkout).inside, with_options(name, options, args or {}))
end

-- What libgit2 does for git.open.
local function by_either(name, checkout, options, args)
  local here = view(checkout)
  args = args or {}
  args.library = here.library or false
  return op[name](here.inside, with_options(name, options, args))
end

-- The op that loses local changes is another than the one that does not: a plan shows it as destructive.
local function choose_hard(name, options, allowed)
  if type(options) ~= "table" or options.hard == nil then return name, options end
  local hard, rest = options.hard, {}
  for key, value in pairs(options) do
    if key ~= "hard" then rest[key] = value end
  end
  if type(hard) ~= "boolean" or (hard and (rest.keep or rest.ours)) then
    dr.fail { code = "recipe.argument", message = (":%s: hard is true or false, and not together with %s"):format(name,
      allowed), hint = "hard = true loses local changes, keep = true keeps them" }
  end
  return hard and name .. "_hard" or name, rest
end

function Checkout:head() return by_either("head", self).commit end

function Checkout:commit(revision) return by_either("commit", self, nil, { revision = revision }).commit end

function Checkout:branch() return by_either("branch", self).branch end

function Checkout:status() return by_either("status", self) end

function Checkout:is_checkout()
  local here = view(self)
  return op.is_checkout(here.outside, { folder = here.folder, library = here.library or false }).yes
end

function Checkout:log(from, to, options)
  return by_either("log", self, options, { from = from, to = to }).commits
end

function Checkout:changed(from, to, options)
  return by_either("changed", self, options, { from = from, to = to }).paths
end

function Checkout:tags(revision) return by_either("tags", self, nil, { revision = revision }).tags end

function Checkout:is_pushed(options) return by_git("is_pushed", self, options).pushed end

function Checkout:fetch(options) by_git("fetch", self, options) end

function Checkout:pull(options) return by_git("pull", self, options) end

function Checkout:update(options) return by_git("update", self, options) end

function Checkout:checkout(revision, options)
  local name, rest = choose_hard("checkout", options, "keep")
  return by_git(name, self, rest, { revision = revision })
end

function Checkout:reset(revision, options)
  local name, rest = choose_hard("reset", options, "keep or ours")
  return by_git(name, self, rest, { revision = revision })
end

function Checkout:revert(revision, options) return by_git("revert", self, options, { revision = revision }) end

function Checkout:tag(name, options) return by_either("tag", self, options, { name = name }) end

function Checkout:push(options) return by_git("push", self, options) end

function Checkout:stash(options) return by_git("stash", self, options) end

function Checkout:pop(options) return by_git("pop", self, options) end

function Checkout:clone(url, options)
  local here = view(self)
  return op.clone(here.outside, with_options("clone", options, { folder = here.folder, url = url }))
end
