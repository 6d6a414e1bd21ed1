-- transfer.lua - target:upload, :download and :sync. See transfer_upload.c, transfer_download.c and sync_op.c for the
-- ops, meta/transfer.lua for the documentation.
local dr = ...
local Target = dr.Target
local digest, upload, download, stat = dr.op("fs.digest"), dr.op("target.upload"), dr.op("target.download"),
  dr.op("target.stat")
local manifest, compare, sync = dr.op("fs.manifest"), dr.op("target.compare"), dr.op("target.sync")

-- This machine, so that a plan knows that a file read here is one an earlier op was to change there.
local here

local wrong = dr.wrong

local function check_path(method, what, path)
  if type(path) ~= "string" or path == "" then wrong((":%s takes %s"):format(method, what)) end
  if path:find("\0", 1, true) then wrong((":%s: a zero byte is not allowed in a path"):format(method)) end
end

local function check_options(method, options)
  if type(options) ~= "table" then return end
  if options.mode ~= nil and type(options.mode) ~= "string" then
    wrong((":%s: mode is text, because Lua has no octal numbers"):format(method), "mode = \"0644\"")
  end
  if options.attempts ~= nil and (math.type(options.attempts) ~= "integer" or options.attempts < 1) then
    wrong((":%s: attempts is a whole number, 1 or more"):format(method))
  end
end

-- A path that ends with / is a folder: the file keeps its name in it.
local function in_folder(path, source)
  if path:sub(-1) ~= "/" then return path end
  return path .. source:match("([^/]+)/*$")
end

-- 1234567 -> "1.2 MiB"
local function size_of(bytes)
  local units, unit = { "bytes", "KiB", "MiB", "GiB", "TiB" }, 1
  while bytes >= 1024 and unit < #units do bytes, unit = bytes / 1024, unit + 1 end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, units[unit])
end

local function counted(n, one) return ("%d %s%s"):format(n, one, n == 1 and "" or "s") end

-- What a sync will do, for the plan.
local function plan_of(found, deletes)
  if dr.assumed(found) then return "what differs is unknown until then" end
  if found.send + found.adjust + found.remove == 0 then return "nothing differs" end
  local parts = { ("sends %d (%s%s)"):format(found.send, size_of(found.bytes),
    found.kept == 0 and "" or (", of which an interrupted sync left %s there"):format(size_of(found.kept))) }
  if found.adjust > 0 then parts[#parts + 1] = ("adjusts mode or owner of %d"):format(found.adjust) end
  if deletes then
    parts[#parts + 1] = found.remove == 0 and "deletes nothing" or
      ("deletes %d: %s"):format(found.remove, found.names)
  end
  return table.concat(parts, ", ")
end

local sync_options = { "exclude", "delete", "mode", "dir_mode", "owner", "parents" }

function Target:sync(from, to, options)
  check_path("sync", "a folder of this machine and one of the target", from)
  check_path("sync", "a folder of the target", to)
  check_options("sync", options)
  here = here or dr.core.target.host("local", { host = "local" })
  local args = dr.with_options("sync", options, { from = from, to = to:match("^(.-)/*$") })
  if args.to == "" then wrong(":sync does not work on the whole of /") end
  local files = manifest(here, { path = from, exclude = args.exclude })
  args.sha256 = files.sha256
  local shared = dr.pick(args, sync_options)
  shared.from, shared.to, shared.sha256 = args.from, args.to, args.sha256
  if dr.assumed(files) then
    args.what, args.plan = "unknown until then", "what differs is unknown until then"
  else
    args.what = ("%s, %s, sha256 %s…"):format(counted(files.files + files.links, "file"), size_of(files.bytes),
      files.sha256:sub(1, 12))
    args.plan = plan_of(compare(self, shared), args.delete)
  end
  return sync(self, args)
end

function Target:upload(from, to, options)
  check_path("upload", "a path on this machine and one on the target", from)
  check_path("upload", "a path on the target", to)
  check_options("upload", options)
  here = here or dr.core.target.host("local", { host = "local" })
  local file = digest(here, { path = from })
  if file.type == "folder" then return self:sync(from, in_folder(to, from), options) end
  return upload(self, dr.with_options("upload", options, { from = from, to = in_folder(to, from), size = file.size,
    sha256 = file.sha256, fresh_mode = file.mode }))
end

function Target:download(from, to, options)
  check_path("download", "a path on the target and one on this machine", from)
  check_path("download", "a path on this machine", to)
  check_options("download", options)
  local file = stat(self, { path = from })
  if not file.found then
    return dr.fail { code = "transfer.not_found", message = from .. " does not exist there", target = self:name(),
      hint = "check the path" }
  end
  return download(self, dr.with_options("download", options, { from = from, to = in_folder(to, from) }))
end
