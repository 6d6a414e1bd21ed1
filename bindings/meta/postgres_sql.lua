---@meta
-- PostgreSQL: what SQL does to running code and to tables, told before it runs.

---@class deployrun.SqlHazard
---@field hazard string the name that an annotation accepts, such as "drop-column"; docs/hazards.md lists all
---@field class string "compatible" when it is about locks only, "conditional", "breaking", "unknown"
---@field reason string
---@field accepted? string the reason of the annotation that accepts it

---@class deployrun.SqlStatement
---@field line integer
---@field text string cut after 2,000 bytes
---@field kind string what it does: the heaviest hazard, or a harmless change such as "add-column"
---@field class string "compatible": code written for the schema before keeps working · "conditional": if what the hazards say holds · "breaking": it does not · "unknown": treat as breaking
---@field hazards deployrun.SqlHazard[] empty for a harmless statement
---@field on string[] the relations that were there before and are locked while it works, by it or, when it works in bulk, by statements before it; most locked first
---@field locks table<string, string> relation → "ACCESS EXCLUSIVE", …
---@field lock? string the strongest of them
---@field blocks? string what waits for it: "reads" (and writes), "writes", "schema" (other changes of the schema)
---@field scan boolean a table is read as a whole
---@field rewrite boolean a table is written anew as a whole
---@field loses? string what is gone afterwards
---@field transaction string "inside" a transaction block, or "alone"
---@field alone? string why it cannot run inside one
---@field control? string "begin", "commit", "rollback", "savepoint", "prepared"
---@field accepted {hazard: string, reason: string, line: integer}[]

---@class deployrun.SqlScript
---@field class string the worst of its statements
---@field statements deployrun.SqlStatement[]
---@field lint {line: integer, rule: string, message: string}[] advice: "idempotent", "nullable-first", "order", "enum-value", "search-path", "session-setting", "transaction"
---@field problems {line: integer, message: string}[] annotations without a reason, or that fit no hazard

---@class deployrun.ClassifyOptions
---@field catalog? table<string, table<string, string|{type: string, not_null?: boolean, checked?: boolean}>> table → column → type as format_type() writes it; without it a change of type is "unknown", and so is a dropped default without not_null; checked: a CHECK names the column, or an index with an expression or predicate does

---Judges each statement of a script by PostgreSQL's own parser: does old code keep working, what is locked, scanned, rewritten
---or lost, and must it run outside of a transaction. Asks no server and changes nothing. What `manage.py sqlmigrate` prints goes
---in as it is. Several scripts that run one behind the other are given as a list, and the result is a list: what an earlier one
---created is nobody's yet and counts for nothing in a later one.
---
---A comment accepts a hazard, for a reason: `-- deployrun: accept drop-column: nothing reads it since 2.3`.
---
---Fails: postgres.syntax, postgres.encoding, postgres.meta_command, postgres.copy_data, postgres.too_large; lines are in the
---message.
---@param sql string|string[]
---@param options? deployrun.ClassifyOptions
---@return deployrun.SqlScript result a list of them for a list
function postgres.classify(sql, options) end
