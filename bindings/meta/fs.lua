---@meta
-- Files: the global `fs` reads files of this machine; target:write and target:stat work on any target, as its user and in
-- its folder.

---@class deployrun.Target
local Target = {}

---@class deployrun.Fs
fs = {}

---The whole of a file of this machine, any bytes. ~/ is the home of the person who deploys. A query.
---
---Fails: fs.not_found, fs.failed, fs.too_large (above 16 MiB).
---@param path string
---@return string
function fs.read(path) end

---Whether there is a file or folder of that name. A query. Fails: fs.failed (a folder above it may not be entered).
---@param path string
---@return boolean
function fs.exists(path) end

---The paths that match a pattern with * ? and […], in order; none is an empty list. A query. Fails: fs.failed, fs.pattern (an empty pattern).
---@param pattern string
---@return string[]
function fs.glob(pattern) end

---The SHA-256 of a file, in hexadecimal digits. A query. Fails: fs.not_found, fs.failed.
---@param path string
---@return string
function fs.hash(path) end

---Writes a file of this machine: host("local"):write.
---@param path string
---@param text string
---@param options? deployrun.WriteOptions
---@return deployrun.WriteResult
function fs.write(path, text, options) end

---@class deployrun.WriteOptions
---@field mode? string octal digits as text: "0644"; default: that of the old file, else 0644
---@field owner? string "app", "app:www" or numbers; default: that of the old file. Needs the right to: see :sudo()

---@class deployrun.WriteResult
---@field changed boolean false when the file had that text and mode before

---Writes a whole file. Whoever reads it sees the old or the new text, never a part; a connection that is cut leaves the old
---one. What arrives is compared with its SHA-256. Owner, group and mode of an old file are kept; where this user cannot do
---that, nothing is written (transfer.denied). A symbolic link is followed. The text goes by standard input, so it may hold a
---secret; the plan shows its length and the beginning of its SHA-256.
---
---Action: change. Fails: fs.failed, transfer.denied, transfer.no_space, transfer.corrupt, transfer.is_folder,
---transfer.not_a_file, transfer.no_sha256, recipe.argument (a mode that is no text of octal digits), and as target:run.
---@param path string absolute, relative to the target's folder, or ~/…
---@param text string
---@param options? deployrun.WriteOptions
---@return deployrun.WriteResult
function Target:write(path, text, options) end

---@class deployrun.Stat
---@field found boolean always true
---@field type string "file" "folder" "link" "other"
---@field size integer bytes
---@field mtime integer seconds since 1970
---@field mode string octal digits: "644"
---@field owner string
---@field group string

---About a file of a target; nil when there is none. In a dry run where it is not known yet, an empty file. A query.
---@param path string
---@return deployrun.Stat|nil
function Target:stat(path) end
