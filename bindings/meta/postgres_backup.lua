---@meta
-- Backups of PostgreSQL databases: made, verified, kept, restored. docs/backups.md says what is promised and how it is tested.
-- The files are always on the machine where deployrun runs. What every call on a database may fail with stands in postgres.lua.

---@class deployrun.Database
local Database = {}

---@class deployrun.BackupOptions
---@field dir string folder of this machine; ~/ is allowed. Made when it is missing (0700), with those above it. One folder may hold several databases'
---@field keep? integer so many verified backups stay; older ones are removed, after this one was verified. Default: nothing is removed
---@field verify? string|boolean "read" (default): hashes, and pg_restore reads all of it; "restore": into a scratch database too; false
---@field globals? boolean also roles and tablespaces, by pg_dumpall (default true)
---@field role_passwords? boolean with the roles' password hashes (default false); needs a superuser
---@field lock_timeout? number|string how long tables that somebody locks are waited for (default 30 s)
---@field tools? string|deployrun.Target where pg_dump runs: "here", "there" (the database's own machine), or a target. Default: in the container of a stack's service, else here
---@field maintenance? string the database to connect to while another is made or dropped (default "postgres"); for verify = "restore"
---@field owners? boolean with owners and grants (default true); for verify = "restore"
---@field timeout? number|string how long each part may take (default 6 h)

---@class deployrun.Backup
---@field path string of NAME.dump.zst; NAME.json and NAME.globals.sql are beside it
---@field database string
---@field cluster string the server's system identifier; "" where it may not be asked
---@field bytes integer
---@field plain_bytes integer before it was compressed
---@field sha256 string
---@field tables integer
---@field rows integer of all tables, counted in the dump's snapshot
---@field server string "15.14"
---@field pg_dump string
---@field seconds number
---@field removed? string[] names of the older backups that were removed; with keep

---Backs the database up. pg_dump (custom format, not compressed) writes one snapshot of it; a thread compresses that by zstd on
---its way into a partial file; our own connection, whose transaction locked the tables for reading (ACCESS SHARE) and exported
---the snapshot, counts the rows of each table in it.
---The files get their names when they are on the disk, the manifest last: a backup exists when its manifest does. Then it is
---verified, and only then older ones may go (`keep`): as many whose hashes are right at that moment stay, and whatever is newer
---than the last of these, and whatever is not a backup of this database and this server. A new backup that is bad is removed.
---
---Action: change (and destructive, irreversible with keep). Fails: backup.old_pg_dump, backup.no_program, backup.program,
---backup.locked, backup.no_space, backup.write, backup.folder, backup.unreadable, backup.corrupt, backup.counts, backup.timeout,
---backup.setup, as :verify_backup.
---@param options deployrun.BackupOptions
---@return deployrun.Backup
function Database:backup(options) end

---@class deployrun.VerifyBackupOptions
---@field verify? string "read" (default) or "restore"
---@field tools? string|deployrun.Target where pg_restore runs; as of :backup
---@field maintenance? string
---@field owners? boolean
---@field timeout? number|string

---@class deployrun.VerifiedBackup
---@field path string
---@field how string "read" or "restore"
---@field taken string "2026-11-29T16:53:45.123Z"
---@field tables integer
---@field rows integer
---@field noted boolean false when the folder may not be written to: then it does not count for keep

---Proves a backup. "read": sizes and SHA-256 are those of the manifest, all of it is decompressed, and pg_restore reads the whole
---archive. "restore": it is also restored into a scratch database (deployrun_scratch_TIME_NAME) of the server, its rows are
---counted and compared with the manifest, and it is dropped; what a killed run left there an hour ago or earlier is dropped too.
---That it was verified is noted in the manifest, and that a restore showed other rows (backup.counts) too: then it counts as bad.
---
---Action: change. Fails: backup.not_found, backup.no_manifest, backup.manifest, backup.missing, backup.truncated, backup.corrupt,
---backup.unreadable, backup.old_pg_restore, backup.no_program, backup.read, backup.timeout; with "restore" as :restore.
---@param path string of any of its files
---@param options? deployrun.VerifyBackupOptions
---@return deployrun.VerifiedBackup
function Database:verify_backup(path, options) end

---@class deployrun.KnownBackup
---@field path string
---@field ok boolean false: it cannot be used, `problem` is the code why and `message` the words; then there is nothing else, unless a restore found it bad (backup.counts)
---@field problem? string
---@field message? string
---@field database? string
---@field taken? string
---@field by? string who, on which machine
---@field server? string
---@field pg_dump? string
---@field bytes? integer
---@field plain_bytes? integer
---@field sha256? string
---@field tables? integer
---@field rows? integer
---@field verified? string "read" or "restore"; nil: never
---@field verified_at? string

---@class deployrun.BackupsOptions
---@field dir string
---@field all? boolean those of other databases too (default false)

---The backups in a folder, newest first; those that cannot be used last. Sizes are compared, hashes are not. A folder that is
---not there has none. Query. Fails: backup.folder.
---@param options deployrun.BackupsOptions
---@return deployrun.KnownBackup[]
function Database:backups(options) end

---@class deployrun.Postgres
postgres = {}

---The same without a database: all backups in a folder.
---@param dir string
---@return deployrun.KnownBackup[]
function postgres.backups(dir) end

---@class deployrun.RestoreOptions
---@field disconnect? boolean end the sessions of clients for the swap (default false: clients that are connected are a refusal)
---@field swap? boolean take the place of the database that is served (default true); false: leave it beside, for :swap_in
---@field database? string the name that is served; default: that of the connection, else of the backup
---@field maintenance? string the database to connect to meanwhile (default "postgres")
---@field owners? boolean with owners and grants (default true); roles that do not exist are an error
---@field tools? string|deployrun.Target where pg_restore runs; as of :backup
---@field timeout? number|string how long it may take (default 6 h)

---@class deployrun.Restored
---@field database string the name that is served
---@field restored string the name it was restored under
---@field kept? string what was served before; nil when there was none
---@field gap? number seconds in which clients could not connect
---@field taken string when the backup was taken
---@field tables integer
---@field rows integer
---@field seconds number

---Restores a backup. Its files are hashed before the server is touched. pg_restore fills a new database
---(deployrun_restoring_TIME_NAME) and stops at the first error; the rows are counted and compared; the database's settings, grants
---and comment are set, statistics gathered. Then, in one transaction, the database that is served is renamed to
---deployrun_kept_TIME_NAME and the new one gets its name. Whatever fails before that, the new one is dropped and the old one
---serves on. Subscriptions are not restored, and event triggers do not fire meanwhile. Undo: db:swap_back(restored).
---
---Action: change; the swap: change, downtime, destructive. Fails: backup.in_use, backup.restore, backup.counts,
---backup.older_server, and as :verify_backup.
---@param path string of any of the backup's files
---@param options? deployrun.RestoreOptions
---@return deployrun.Restored
function Database:restore(path, options) end

---@class deployrun.SwapOptions
---@field disconnect? boolean end the sessions of clients (default false)
---@field database? string the name that is served; default: that of the connection
---@field maintenance? string

---@class deployrun.Swapped
---@field database string
---@field kept? string what had the name before
---@field gap number seconds

---What was served before a restore has its name again; what is served now is kept as deployrun_undone_TIME_NAME. Action: change,
---downtime, destructive. Fails: backup.in_use, backup.no_database.
---@param restored deployrun.Restored|string what :restore returned, or the name of a database that was kept
---@param options? deployrun.SwapOptions
---@return deployrun.Swapped
function Database:swap_back(restored, options) end

---A database that was restored with swap = false gets the name that is served. Action: change, downtime, destructive. Fails:
---backup.in_use, backup.no_database.
---@param name string
---@param options? deployrun.SwapOptions
---@return deployrun.Swapped
function Database:swap_in(name, options) end

---@class deployrun.KeptOptions
---@field database? string the name that is served; default: that of the connection
---@field maintenance? string

---@class deployrun.KeptDatabase
---@field name string
---@field kind string "kept", "undone", "restoring" (never swapped in) or "scratch"
---@field at string
---@field bytes integer

---The databases that restores of this one have left on the server, newest first. Query.
---@param options? deployrun.KeptOptions
---@return deployrun.KeptDatabase[]
function Database:kept(options) end

---@class deployrun.DropKeptOptions
---@field keep? integer so many of the newest stay (default 0)
---@field database? string
---@field maintenance? string

---Drops them. The plan names each. One that clients are connected to, or that has a subscription or a logical replication slot, is
---refused; those before it are gone. Action: change, destructive, irreversible. Fails: backup.in_use.
---@param options? deployrun.DropKeptOptions
---@return string[] dropped
function Database:drop_kept(options) end
