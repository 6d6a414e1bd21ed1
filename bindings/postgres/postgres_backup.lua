-- postgres_backup.lua - db:backup, :verify_backup, :restore and what belongs to them. The ops are in
-- postgres/backup_*.c; meta/postgres_backup.lua documents the functions, docs/backups.md what is promised.
local dr = ...
local Database, Postgres = dr.Database, dr.Postgres
local backup, verify, rehearse = dr.op("postgres.backup"), dr.op("postgres.verify_backup"), dr.op("postgres.rehearse")
local retain, list, facts = dr.op("postgres.retain"), dr.op("postgres.backups"), dr.op("postgres.backup_facts")
local restore, swap = dr.op("postgres.restore"), dr.op("postgres.swap")
local kept, drop_kept = dr.op("postgres.kept"), dr.op("postgres.drop_kept")

-- This machine, where the files are.
local here
local function this_machine()
  here = here or dr.core.target.host("local", { host = "local" })
  return here
end

local function wrong(method, message, hint) return dr.wrong((":%s: %s"):format(method, message), hint) end

local function options_of(method, options, known)
  if options ~= nil and type(options) ~= "table" then wrong(method, "its options are a table") end
  local names = {}
  for _, name in ipairs(known) do names[name] = true end
  dr.check_options(method, options or {}, names)
  return options or {}
end

local function check_path(method, what, path)
  if type(path) ~= "string" or path == "" then wrong(method, "needs " .. what) end
  return path
end

-- Calls an op whose programs (pg_dump, pg_restore) run here, on the database's own machine ("there"), or on a target;
-- those of a container's database run in that container, so that they fit its server.
local function with_tools(db, op, method, args, tools, plain)
  local target = db.place.target
  if tools == nil then tools = db.place.service or "here" end
  if tools == "here" or tools == "there" then
    args.tools = tools == "there" and "target" or "here"
  elseif type(tools) == "string" then
    wrong(method, ("tools is \"here\", \"there\" or a target, not \"%s\""):format(tools))
  else
    target, args.tools = tools, "target"
  end
  if not plain then args.db = db:keywords() end
  return op(target, args)
end

-- ---------------------------------------------------------------------------------------------- backing up

local how_to_verify = { read = true, restore = true }

local function check_verify(method, how)
  if how ~= nil and how ~= false and not how_to_verify[how] then
    wrong(method, "verify is \"read\", \"restore\" or false")
  end
end

local verify_options = { "verify", "maintenance", "owners", "tools", "timeout" }

-- A fresh one is removed when it is bad. Where it is to be rehearsed, having been read is not worth a note.
local function proven(db, path, options, fresh)
  local reading = { path = path, fresh = fresh, note = options.verify ~= "restore", timeout = options.timeout }
  local read = with_tools(db, verify, "verify_backup", reading, options.tools, true)
  if options.verify ~= "restore" then return read end
  local args = dr.pick(options, { "maintenance", "owners", "timeout" })
  args.path, args.database = path, db:keywords().dbname
  local rehearsed = with_tools(db, rehearse, "verify_backup", args, options.tools)
  return { path = path, how = "restore", taken = rehearsed.taken, tables = rehearsed.tables, rows = rehearsed.rows,
    noted = rehearsed.noted }
end

-- verify_backup(path, { verify = "read" }): see meta/postgres_backup.lua.
function Database:verify_backup(path, options)
  options = options_of("verify_backup", options, verify_options)
  check_path("verify_backup", "the path of a backup", path)
  check_verify("verify_backup", options.verify)
  return proven(self, path, options)
end

local backup_options = { "dir", "keep", "verify", "globals", "role_passwords", "lock_timeout", "maintenance", "owners",
  "tools", "timeout" }

local function check_keep(options)
  local keep = options.keep
  if keep == nil then return end
  if math.type(keep) ~= "integer" or keep < 1 then
    wrong("backup", "keep is the number of backups that stay, 1 or more")
  end
  if options.verify == false then
    wrong("backup", "nothing is removed for a backup that was not verified", "leave out keep, or verify = false")
  end
end

-- backup { dir =, keep =, verify = }: see meta/postgres_backup.lua.
function Database:backup(options)
  options = options_of("backup", options, backup_options)
  check_path("backup", "dir, the folder on this machine for the backup", options.dir)
  check_verify("backup", options.verify)
  check_keep(options)
  local args = dr.pick(options, { "dir", "globals", "role_passwords", "lock_timeout", "timeout" })
  local made = with_tools(self, backup, "backup", args, options.tools)
  local path = made.path
  if options.verify ~= false then proven(self, path, options, true) end
  if options.keep then
    local retained = retain(this_machine(), { path = path, keep = options.keep })
    if not dr.dry() then made.removed = retained.removed end
  end
  return made
end

-- backups { dir = }: those in a folder, newest first.
function Database:backups(options)
  options = options_of("backups", options, { "dir", "all" })
  local args = { dir = check_path("backups", "dir, the folder with the backups", options.dir) }
  if not options.all then args.database = self:keywords().dbname end
  return list(this_machine(), args).backups
end

-- The same for a folder, whatever databases they are of.
function Postgres.backups(dir)
  return list(this_machine(), { dir = check_path("backups", "the folder with the backups", dir) }).backups
end

-- ---------------------------------------------------------------------------------------------- restoring

local restore_options = { "database", "disconnect", "swap", "maintenance", "owners", "tools", "timeout" }

-- The name that is served: given, or that of the connection, or that of the backup.
local function name_of(db, options, known)
  return options.database or db:keywords().dbname or known.database
end

-- The same without a backup: where the connection does not say it (PGDATABASE), what it is connected to.
local function served_by(db, options)
  return options.database or db:keywords().dbname or db:query("select current_database()"):value()
end

local function swapped(db, args)
  args.db = db:keywords()
  db:close()
  return swap(db.place.target, args)
end

-- What the ops about other databases of the server are told.
local function asked(db, method, options)
  options = options_of(method, options, { "database", "maintenance", "keep" })
  return { db = db:keywords(), database = served_by(db, options), maintenance = options.maintenance }
end

-- Drops a new database when who waits for its swap is interrupted. What cannot be swapped in for another reason stays,
-- for db:swap_in.
local function dropped_on_interrupt(db, name, database, maintenance)
  return setmetatable({}, { __close = function(_, problem)
    if not dr.is_error(problem) or problem.code ~= "cancelled" then return end
    drop_kept(db.place.target,
      { db = db:keywords(), database = database, maintenance = maintenance, names = dr.array { name } })
  end })
end

-- restore(path, { disconnect =, swap =, … }): see meta/postgres_backup.lua.
function Database:restore(path, options)
  options = options_of("restore", options, restore_options)
  local known = facts(this_machine(), { path = check_path("restore", "the path of a backup", path) })
  local name = name_of(self, options, known)
  local args = dr.pick(options, { "maintenance", "owners", "timeout" })
  args.path, args.database = path, name
  args.unused = options.swap ~= false and not options.disconnect
  local made = with_tools(self, restore, "restore", args, options.tools)
  local result = { database = name, restored = made.database, taken = made.taken, tables = made.tables,
    rows = made.rows, seconds = made.seconds }
  if options.swap == false then return result end
  local _ <close> = dropped_on_interrupt(self, made.database, name, options.maintenance)
  local done = swapped(self, { from = made.database, database = name, keep_as = "kept", disconnect = options.disconnect,
    maintenance = options.maintenance })
  result.kept, result.gap = done.kept, done.gap
  return result
end

-- swap_in(name, { disconnect = }): the database gets the name that is served; what has it is kept. Where a restore was
-- made with swap = false.
function Database:swap_in(from, options)
  options = options_of("swap_in", options, { "database", "disconnect", "maintenance" })
  check_path("swap_in", "the name of a database", from)
  return swapped(self, { from = from, database = served_by(self, options), keep_as = "kept",
    disconnect = options.disconnect, maintenance = options.maintenance })
end

-- swap_back(restored, { disconnect = }): what was served before has the name again; undoes a restore.
function Database:swap_back(restored, options)
  options = options_of("swap_back", options, { "database", "disconnect", "maintenance" })
  local from = restored
  if type(restored) == "table" then from = restored.kept end
  if type(from) ~= "string" then
    wrong("swap_back", "needs what :restore returned, or the name of a database that was kept",
      "where there was no database before, there is none to go back to")
  end
  local name = options.database or (type(restored) == "table" and restored.database) or served_by(self, options)
  return swapped(self, { from = from, database = name, keep_as = "undone", disconnect = options.disconnect,
    maintenance = options.maintenance })
end

-- ---------------------------------------------------------------------------------------------- what was kept

-- kept(): the databases that restores left, newest first: {name, kind, at, bytes}.
function Database:kept(options) return kept(self.place.target, asked(self, "kept", options)).kept end

-- drop_kept { keep = 0 }: drops them but the newest `keep`.
function Database:drop_kept(options)
  local args = asked(self, "drop_kept", options)
  local keep = options and options.keep or 0
  if math.type(keep) ~= "integer" or keep < 0 then wrong("drop_kept", "keep is a number, 0 or more") end
  local found = kept(self.place.target, { db = args.db, database = args.database, maintenance = args.maintenance })
  args.names, args.unknown = dr.array {}, dr.assumed(found) or nil
  for i, one in ipairs(found.kept) do
    if i > keep then args.names[#args.names + 1] = one.name end
  end
  return drop_kept(self.place.target, args).dropped
end
