---@meta
-- Files and folders between this machine and a target: target:upload, target:download, target:sync. They work on any
-- target, as its user and in its folder, over SSH and inside containers alike.

---@class deployrun.Target
local Target = {}

---@class deployrun.UploadOptions
---@field mode? string octal digits as text: "0644"; default: that of the old file, else that of the file here
---@field owner? string "app", "app:www" or numbers; default: that of the old file. Needs the right to: see :sudo()
---@field parents? boolean make the folders above it (default false)
---@field attempts? integer how often a lost connection is made again (default 3); only the rest is sent
---@field timeout? number|string how long one attempt may take (default 1 h); one that moves no byte for 60 s ends anyway

---@class deployrun.UploadResult
---@field changed boolean false when the target had that file, mode and owner before
---@field bytes integer the size of the file
---@field sent integer bytes that were sent; 0 when the file was there already
---@field resumed_from integer bytes that were there of an earlier attempt
---@field attempts integer
---@field sha256 string
---@field seconds number

---Uploads a file of this machine; a folder is handed to :sync. Its size and SHA-256 are asked first and stand in the plan;
---a file that changes after that is not installed. The bytes go into `.NAME.deployrun-HASH.part` beside the destination,
---are verified there, get mode and owner, are written to the disk, and then take the place of the old file at once. Whatever
---ends it in the middle (a cut connection, a full disk, Ctrl-C, kill -9) leaves the old file whole; the next run goes on with
---the partial file, which is kept for a day at least. A file that is the same is not sent. A symbolic link at the
---destination is followed. An old file's owner and group are kept: where this user cannot do that, nothing is sent
---(transfer.denied). Several uploads of one file to one path at the same time do not disturb each other. A new file is as
---old as its upload.
---
---Action: change. Fails: fs.not_found, fs.failed (here), transfer.changed, transfer.is_folder, transfer.no_parent,
---transfer.denied, transfer.no_space, transfer.corrupt, transfer.stalled, transfer.not_a_file, transfer.busy,
---transfer.short, transfer.no_sha256, transfer.failed, and as target:run.
---@param from string a path on this machine; ~/ is the home of the person who deploys
---@param to string a path on the target; with / at the end the file keeps its name in that folder
---@param options? deployrun.UploadOptions|deployrun.SyncOptions
---@return deployrun.UploadResult|deployrun.SyncResult
function Target:upload(from, to, options) end

---@class deployrun.DownloadOptions
---@field mode? string octal digits as text: "0600"; default: that of the old file, else that of the file there
---@field parents? boolean make the folders above it on this machine (default false)
---@field attempts? integer how often a lost connection is made again (default 3); only the rest is sent
---@field timeout? number|string how long one attempt may take (default 1 h); one that moves no byte for 60 s ends anyway

---@class deployrun.DownloadResult
---@field changed boolean false when this machine had that file and mode before
---@field bytes integer the size of the file
---@field received integer 0 when the file was here already
---@field attempts integer
---@field sha256 string
---@field seconds number

---@class deployrun.FetchOptions
---@field exclude? string[] patterns as of :sync
---@field parents? boolean make the folders above it on this machine (default false)
---@field attempts? integer how often a lost connection is made again (default 3)
---@field timeout? number|string how long one attempt may take (default 1 h)

---@class deployrun.FetchResult
---@field changed boolean
---@field received integer files, links and folders that were new or different
---@field bytes integer
---@field adjusted integer whose mode was set
---@field attempts integer
---@field seconds number

---Downloads a file of a target. It is hashed there; what arrives in a partial file beside the destination is compared with
---that, written to the disk, and takes the place of the old file at once. A file that is the same is not sent; a partial
---one is gone on with. Of a folder only what differs is sent; all of it is verified before the first file is replaced, and
---nothing is deleted here.
---
---Action: change, here. Fails: transfer.not_found, transfer.is_folder, transfer.denied, transfer.corrupt, transfer.no_space,
---transfer.stalled, transfer.short, transfer.conflict, fs.failed (here), and as target:run.
---@param from string a path on the target
---@param to string a path on this machine; with / at the end the file keeps its name in that folder
---@param options? deployrun.DownloadOptions|deployrun.FetchOptions
---@return deployrun.DownloadResult|deployrun.FetchResult
function Target:download(from, to, options) end

---@class deployrun.SyncOptions
---@field delete? boolean remove what is not in the folder here (default false)
---@field exclude? string[] patterns of what is left out here and left alone there: a name anywhere ("*.pyc", "cache/"), or with a / inside the whole path ("/var", "docs/draft*")
---@field mode? string of all files, octal digits as text; default: as here
---@field dir_mode? string of all folders; default: new ones as here, others as they are
---@field owner? string of all that is in it: "app", "app:www"; default: as it is, of what is new the target's user
---@field parents? boolean make the folders above it (default false)
---@field attempts? integer how often a lost connection is made again (default 3)
---@field timeout? number|string how long one attempt may take (default 1 h)

---@class deployrun.SyncResult
---@field changed boolean
---@field sent integer files, links and folders that were new or different
---@field bytes integer of these files
---@field resumed_from integer bytes of these that a sync which was cut off had left there, and were not sent again
---@field adjusted integer whose mode or owner was set
---@field removed integer
---@field attempts integer
---@field seconds number

---Makes a folder of the target like one of this machine. The plan is pinned to what is here by a digest, and says how much
---will be sent and what will be deleted; where an earlier action may change that, it says so. Only what differs is sent, in one
---stream, into a staging folder inside the destination; all of it is verified by SHA-256 before the first file is replaced,
---and each file is replaced at once. A file that is replaced keeps its owner and group; where this user cannot do that, or
---may not write to a folder that something in it is to be changed of, nothing is sent (transfer.denied). What is installed is
---as old as its installation, so that nobody takes it for the old one by its time. What has arrived when the connection is lost stays in the staging folder for a day, and the
---next sync of that folder sends only what is missing of it. Symbolic links stay links, and none is followed, here or there: nothing outside of the
---folder is written or removed.
---
---Action: change. Fails: fs.not_found, fs.failed (here), transfer.changed, transfer.conflict (a folder on one side only, and
---delete is false), transfer.not_a_folder, transfer.not_a_file, transfer.no_parent, transfer.denied, transfer.no_space,
---transfer.corrupt, transfer.short, transfer.stalled, transfer.install, transfer.no_tar, transfer.name, transfer.failed, and as
---target:run.
---@param from string a folder of this machine
---@param to string a folder of the target; it is made when there is none
---@param options? deployrun.SyncOptions
---@return deployrun.SyncResult
function Target:sync(from, to, options) end
