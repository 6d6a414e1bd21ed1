---@meta
-- PostgreSQL: migrations. The guide is docs/migrations.md.

---@class deployrun.Database
local Database = {}

---@class deployrun.MigrateOptions
---@field dir string the folder with the files, on the machine deployrun runs on; absolute, from where it was started, or ~/…
---@field to? string the last version that is run; default: all
---@field baseline? string the version up to which all is marked as applied without running it; for a database that knows of none
---@field allow? string "compatible", "conditional" (default) or "breaking": how bad a statement may be that no comment accepts
---@field accept_edited? string[] versions whose file was edited after it was applied; the new hash is recorded
---@field accept_missing? string[] applied versions that have no file
---@field accept_out_of_order? string[] pending versions before the last applied one; they are run
---@field accept_begun? string[] versions with a DO or CALL that commits by itself and was cut off or failed: it is run again from its beginning
---@field lock_timeout? number|string how long the statements of one transaction wait for locks; default 2 s
---@field lock_attempts? integer how often that is tried; default 10
---@field lock_pause? number|string the longest pause between two attempts; default 10 s
---@field statement_timeout? number|string for each statement; default none
---@field within? number|string how long another run that migrates is waited for; default 60 s
---@field timeout? number|string for the whole; default 1 h

---@class deployrun.AppliedMigration
---@field version string
---@field name string
---@field seconds number

---Runs the migrations that are pending, in order: each file in one transaction together with its record, what cannot be in one
---alone and recorded statement by statement. A second run beside it waits and then finds nothing to do. After a failure or a kill
---the next run goes on with the statement.
---
---Action; effects by the statements that are pending. In a dry run the result is assumed. Fails: postgres.migration_file,
---postgres.migration_hazard, postgres.migration_edited, postgres.migration_missing, postgres.migration_out_of_order,
---postgres.migration_half, postgres.migration_begun, postgres.migration_unknown, postgres.migration_baseline, postgres.migration_changed,
---postgres.migration_locked, postgres.pooled, postgres.invalid_index, postgres.lock_timeout (who held the lock is in the message),
---postgres.timeout, fs.not_found, and what the server says, with the file and the line of the statement before it.
---@param options deployrun.MigrateOptions
---@return {applied: deployrun.AppliedMigration[], seconds: number}
function Database:migrate(options) end

---@class deployrun.MigrateDownOptions
---@field dir string
---@field steps? integer how many; or
---@field to? string the version that stays; "0" takes all back
---@field accept_edited? string[]
---@field accept_missing? string[]
---@field accept_begun? string[]
---@field lock_timeout? number|string
---@field lock_attempts? integer
---@field lock_pause? number|string
---@field statement_timeout? number|string
---@field within? number|string
---@field timeout? number|string

---Takes migrations back by their .down.sql, the newest first; the times are those of :migrate. All files must be there before the
---first is run. Action; destructive and irreversible when a statement loses something.
---
---Fails as :migrate does, and postgres.migration_no_down.
---@param options deployrun.MigrateDownOptions
---@return {applied: deployrun.AppliedMigration[], seconds: number}
function Database:migrate_down(options) end

---@class deployrun.PendingMigration
---@field version string
---@field name string
---@field file string
---@field sha256 string of its statements
---@field done integer statements that a run that did not end has done
---@field class string the worst of its statements
---@field loses boolean
---@field statements deployrun.SqlStatement[] those that were run before have `skipped`

---@class deployrun.MigrationStatus
---@field applied string[] versions
---@field pending deployrun.PendingMigration[]
---@field class string the worst of what is pending: "compatible", "conditional", "breaking", "unknown"
---@field half string[] applied by half: the next :migrate goes on with them
---@field half_down string[] taken back by half: the next :migrate_down goes on with them
---@field edited string[] applied, but the file has other statements now
---@field missing string[] applied, but there is no file
---@field out_of_order string[] pending, but a later one is applied

---What is applied, what is pending and how it is judged, and what does not fit. Refuses nothing but files that cannot be read.
---
---Queries. Fails: postgres.migration_file, postgres.syntax, fs.not_found.
---@param options {dir: string}
---@return deployrun.MigrationStatus
function Database:migration_status(options) end
