---@meta
-- PostgreSQL: ask, change, wait. The global `postgres` connects from this machine; target:postgres{…} through the target's
-- connection, stack:postgres(service) to a container of a compose stack. libpq makes the connection, so its conventions hold.
--
-- Every call may fail with postgres.unreachable, postgres.starting, postgres.connections, postgres.auth, postgres.no_database,
-- postgres.tls, postgres.timeout, postgres.connect, postgres.lost, postgres.no_way (no way from the target), postgres.setup
-- (libpq is not installed). Errors of a statement have SQLSTATE and line in the message; the statement with the place marked,
-- and the server's detail, hint and context in `detail`.

---@class deployrun.Target
local Target = {}

---@class deployrun.Stack
local Stack = {}

---Keywords of libpq; what is not named it takes from the PG* variables, the service file, ~/.pgpass and its defaults.
---@class deployrun.PostgresOptions
---@field host? string a name, an address, or the folder of the server's socket; several separated by commas are tried in order
---@field port? integer|string
---@field dbname? string
---@field user? string
---@field password? string give secret("NAME"); masked everywhere
---@field service? string a section of the service file
---@field sslmode? string "disable", "prefer" (libpq's default), "require", "verify-ca", "verify-full"
---@field sslrootcert? string file of the authority's certificate
---@field connect_timeout? integer|string seconds for the whole of connecting, names and all hosts too; default 10, through an SSH host 60
---@field options? string settings of the session: "-c search_path=shop"
---@field application_name? string default "deployrun RUN"

---A database, from this machine. Nothing is connected yet: each call takes the connection that is kept, or makes one. A parameter
---that is NULL is `postgres.null`.
---@param options? string|deployrun.PostgresOptions "postgres://user@host:5432/database", "host=… dbname=…", or a table
---@return deployrun.Database
function postgres(options) end

---@class deployrun.Postgres
---@field null any a parameter that is NULL
postgres = {}

---A database as the target sees it. On an SSH host the way is a tunnel through its connection: to host and port as seen from
---there, or, when host begins with "/" or is not given, to the server's socket (/var/run/postgresql). By the socket the server
---sees who logged in, so that peer authentication works for that user. The PG* variables of this machine are not about that
---host and are left aside; ~/.pgpass is looked at. SSH encrypts the way: sslmode is not possible there.
---@param options? string|deployrun.PostgresOptions
---@return deployrun.Database
function Target:postgres(options) end

---The database of a compose service, at its container's address, here or through the SSH host. User, password (a secret from
---then on) and name come from the container's environment: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, or bitnami's
---POSTGRESQL_…; options replace them. The container is looked for at the first call, and again by :wait_ready(). Fails:
---docker.not_running, secret.short.
---@param service string
---@param options? deployrun.PostgresOptions
---@return deployrun.Database
function Stack:postgres(service, options) end

---@class deployrun.Database
local Database = {}

---The rows, a list of tables by column name. int2, int4, int8 and oid are integers (exact), float4 and float8 numbers ("NaN" and
---"Infinity" as text), booleans booleans; all else is text as PostgreSQL writes it: numeric keeps its digits, json goes through
---json.decode. A NULL is nil.
---@class deployrun.Rows
---@field columns string[]
---@field [integer] table<string, any>
local Rows = {}

---The first column of the first row.
---@param otherwise? any when there is no row, the value is NULL, or a dry run could not ask
---@return any
function Rows:value(otherwise) end

---The values of one column; NULLs are left out.
---@param name? string default: the first
---@return any[]
function Rows:column(name) end

---@class deployrun.QueryOptions
---@field timeout? number|string default 60; then it is cancelled on the server
---@field max_rows? integer default 100000; more is an error, as is more than 8 MiB of text

---Asks: one SELECT, VALUES, TABLE, SHOW, or EXPLAIN of them, in a read-only transaction that is rolled back. Query: it runs in a
---dry run too, unless a planned action changes a database (of a container: or the container). Fails: postgres.read_only,
---postgres.statement, postgres.syntax, postgres.too_large, postgres.column (two columns of one name), postgres.denied.
---@param sql string
---@param params? any[] for $1, $2 …: text, numbers, booleans, postgres.null, lists (as arrays)
---@param options? deployrun.QueryOptions
---@return deployrun.Rows
function Database:query(sql, params, options) end

---@class deployrun.ExecOptions
---@field timeout? number|string for the statements; default 600; then they are cancelled on the server
---@field lock_timeout? number|string how long each statement may wait for a lock; default 5
---@field transaction? boolean false: no transaction is put around, for CREATE INDEX CONCURRENTLY, VACUUM, or a script with its own BEGIN and COMMIT; default true
---@field check? boolean false: the statements are not read here first, for SQL newer than PostgreSQL 15; default true

---@class deployrun.ExecResult
---@field tag string of the last statement: "UPDATE 3"
---@field affected integer rows of the last statement
---@field rows table[] of its RETURNING
---@field statements {tag: string, affected: integer}[]
---@field notices deployrun.Notice[]

---Changes: one or more statements, all or none. Action (change). The plan shows the SQL as it is. Wrong syntax is found in the
---walk, before anything is done. Fails: postgres.syntax, postgres.statement, postgres.constraint, postgres.lock_timeout,
---postgres.deadlock, postgres.serialization, postgres.denied, postgres.transaction (it cannot run in one, or leaves one open),
---postgres.copy_data, postgres.timeout, postgres.lost (whether it was done is not known).
---@param sql string
---@param params? any[] with one statement only
---@param options? deployrun.ExecOptions
---@return deployrun.ExecResult
function Database:exec(sql, params, options) end

---Waits until the server answers: while it cannot be reached, its name has no address yet, it is starting up, or all its
---connections are taken. Check. Fails at once with postgres.auth, postgres.no_database, postgres.tls; else postgres.not_ready,
---whose cause is the last refusal.
---@param options? {attempts?: integer, interval?: number|string, timeout?: number|string} default: 30 attempts, 2 s apart, 5 s each
---@return {attempts: integer}
function Database:wait_ready(options) end

---@class deployrun.Connections
---@field total integer connections of clients
---@field max integer max_connections of the server
---@field waiting integer that wait for a lock
---@field by_state table<string, integer> "active", "idle", "idle in transaction" …
---@field by_user table<string, integer>
---@field by_application table<string, integer>

---Who is connected to the server. Query.
---@return deployrun.Connections
function Database:connections() end

---@class deployrun.Notice
---@field severity string "NOTICE", "WARNING" …
---@field code string SQLSTATE
---@field message string
---@field detail string
---@field hint string

---What the server said beside its answer to the latest call (at most 200); shown as it comes.
---@return deployrun.Notice[]
function Database:notices() end

---Closes the connection that is kept; otherwise it ends with the run.
function Database:close() end

---libpq's keywords of the connection, with what was found out about a container. For the database's other methods.
---@return table<string, string>
function Database:keywords() end

---Calls an op that takes the database as its argument "db"; `args` is changed. For the database's other methods.
---@param op function
---@param args table
---@return any
function Database:call(op, args) end
