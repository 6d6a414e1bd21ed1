/* postgres/hazard_rules.h - the table of judgements: what each kind of change does to running code
 * and to tables. The one place where they are written down: the classifier judges by it, the table
 * in docs/hazards.md is made of it (docs/generate_hazards.sh), and tests/bindings/hazards.c asks a
 * server whether locks, scans and rewrites are so. Constant; any thread.
 */
#ifndef DR_POSTGRES_HAZARD_RULES_H
#define DR_POSTGRES_HAZARD_RULES_H

#include <stdbool.h>

typedef enum dr_sql_class {
  DR_SQL_COMPATIBLE,
  DR_SQL_CONDITIONAL,
  DR_SQL_BREAKING,
  DR_SQL_UNKNOWN
} dr_sql_class;

/* Weakest first. */
typedef enum dr_sql_lock {
  DR_SQL_NO_LOCK,
  DR_SQL_ACCESS_SHARE,
  DR_SQL_ROW_SHARE,
  DR_SQL_ROW_EXCLUSIVE,
  DR_SQL_SHARE_UPDATE_EXCLUSIVE,
  DR_SQL_SHARE,
  DR_SQL_SHARE_ROW_EXCLUSIVE,
  DR_SQL_EXCLUSIVE,
  DR_SQL_ACCESS_EXCLUSIVE
} dr_sql_lock;

enum { DR_SQL_READS = 0, DR_SQL_SCANS = 1, DR_SQL_REWRITES = 2 };

/* clang-format off */
/* X(id, name, class, lock, work, loses, reason): two lines each, read by docs/generate_hazards.sh. */
#define DR_SQL_RULES(X)                                                                             \
  X(NOTHING, "nothing", COMPATIBLE, NO_LOCK, READS, NULL,                                           \
    "settings, comments of a session, transactions")                                                \
  X(READ, "read", COMPATIBLE, ACCESS_SHARE, READS, NULL,                                            \
    "a query")                                                                                      \
  X(READ_FOR_UPDATE, "read-for-update", COMPATIBLE, ROW_SHARE, READS, NULL,                         \
    "a query that locks its rows")                                                                  \
  X(CALL, "call-function", UNKNOWN, NO_LOCK, READS, NULL,                                           \
    "what the function does cannot be read here")                                                   \
  X(FIRE, "fire-trigger", UNKNOWN, NO_LOCK, READS, NULL,                                            \
    "what the new trigger or rule on it does cannot be read here")                                  \
  X(DYNAMIC, "dynamic-sql", UNKNOWN, NO_LOCK, READS, NULL,                                          \
    "the statement is put together while it runs")                                                  \
  X(SET_SEQUENCE, "set-sequence", CONDITIONAL, NO_LOCK, READS, NULL,                                \
    "numbers must not come twice; a rollback does not take it back")                                \
  X(ADVISORY_LOCK, "advisory-lock", CONDITIONAL, NO_LOCK, READS, NULL,                              \
    "code that takes the same lock waits; only an xact lock ends with the transaction")             \
  X(ADVISORY_UNLOCK, "advisory-unlock", CONDITIONAL, NO_LOCK, READS, NULL,                          \
    "gives locks of the session up; in a migration that which keeps other runs out, so it is refused there")\
  X(END_SESSION, "end-session", BREAKING, NO_LOCK, READS, NULL,                                     \
    "what another session does is cut off")                                                         \
  X(SERVER_CALL, "server-call", CONDITIONAL, NO_LOCK, READS, NULL,                                  \
    "does something to the whole server")                                                           \
  X(LARGE_OBJECT, "change-large-object", CONDITIONAL, NO_LOCK, READS, "what the large object held", \
    "the code must not need what it held")                                                          \
  X(UNREAD, "unread", UNKNOWN, NO_LOCK, READS, NULL,                                                \
    "a statement or block that the classifier does not know")                                       \
  X(INSERT, "insert", COMPATIBLE, ROW_EXCLUSIVE, READS, NULL,                                       \
    "new rows")                                                                                     \
  X(UPDATE, "update", COMPATIBLE, ROW_EXCLUSIVE, READS, NULL,                                       \
    "other writers of the same rows wait until the transaction ends")                               \
  X(UPDATE_ALL, "update-all", CONDITIONAL, ROW_EXCLUSIVE, SCANS, "the old values of all rows",      \
    "no WHERE: all rows are written anew and stay locked for other writers; do it in batches")      \
  X(DELETE, "delete", CONDITIONAL, ROW_EXCLUSIVE, READS, "rows",                                    \
    "the code must not need the rows that are deleted")                                             \
  X(DELETE_ALL, "delete-all", CONDITIONAL, ROW_EXCLUSIVE, SCANS, "all rows",                        \
    "no WHERE: the code must not need any row")                                                     \
  X(MERGE, "merge", CONDITIONAL, ROW_EXCLUSIVE, SCANS, NULL,                                        \
    "rows are changed or deleted; other writers of them wait")                                      \
  X(TRUNCATE, "truncate", CONDITIONAL, ACCESS_EXCLUSIVE, REWRITES, "all rows",                      \
    "the code must not need any row; CASCADE empties the tables that refer to it")                  \
  X(COPY_IN, "copy-in", COMPATIBLE, ROW_EXCLUSIVE, READS, NULL,                                     \
    "new rows from a file of the server")                                                           \
  X(COPY_OUT, "copy-out", CONDITIONAL, ACCESS_SHARE, READS, NULL,                                   \
    "writes a file of the server, over one that is there")                                          \
  X(COPY_PROGRAM, "copy-program", UNKNOWN, NO_LOCK, READS, NULL,                                    \
    "a program that the server runs: what it does cannot be read here")                             \
  X(WRITE_CATALOG, "write-catalog", UNKNOWN, ROW_EXCLUSIVE, READS, NULL,                            \
    "PostgreSQL keeps its own state in this table: what a change of it does cannot be told")        \
  X(HELD_LOCK, "held-lock", COMPATIBLE, NO_LOCK, READS, NULL,                                       \
    "the transaction holds this lock to its end, so those who wait for it wait for the work of this statement too: put it into a file of its own") \
  X(LOCK, "lock-table", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                                 \
    "others wait until the transaction ends; the mode is as given")                                 \
  X(CREATE_TABLE, "create-table", COMPATIBLE, NO_LOCK, READS, NULL,                                 \
    "nobody uses it yet")                                                                           \
  X(CREATE_PARTITION, "create-partition", COMPATIBLE, ACCESS_EXCLUSIVE, SCANS, NULL,                \
    "locks the parent, and scans its default partition, if there is one, while readers wait")       \
  X(INHERIT_FROM, "create-child", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                  \
    "a table that inherits; queries of the parent see its rows")                                    \
  X(CREATE_VIEW, "create-view", COMPATIBLE, NO_LOCK, READS, NULL,                                   \
    "nobody uses it yet")                                                                           \
  X(REPLACE_VIEW, "replace-view", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                       \
    "columns stay (PostgreSQL sees to it), what stands in them may change")                         \
  X(CREATE_OBJECT, "create-object", COMPATIBLE, NO_LOCK, READS, NULL,                               \
    "a new type, schema, sequence, function, role or the like; nobody uses it yet")                 \
  X(CREATE_FUNCTION, "create-function", CONDITIONAL, NO_LOCK, READS, NULL,                          \
    "where there are functions of its name with other arguments, calls of them may become ambiguous, or mean this one") \
  X(REPLACE_FUNCTION, "replace-function", CONDITIONAL, NO_LOCK, READS, NULL,                        \
    "code, triggers and views that call it get the new one at once")                                \
  X(CREATE_TRIGGER, "create-trigger", CONDITIONAL, SHARE_ROW_EXCLUSIVE, READS, NULL,                \
    "what the code writes now runs the trigger too")                                                \
  X(CREATE_RULE, "create-rule", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                         \
    "what the code reads or writes is rewritten")                                                   \
  X(CREATE_POLICY, "create-policy", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                     \
    "which rows the code sees may change")                                                          \
  X(CREATE_STATISTICS, "create-statistics", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,        \
    "plans of queries may change")                                                                  \
  X(CREATE_INDEX, "create-index", COMPATIBLE, SHARE, SCANS, NULL,                                   \
    "writers wait until the index is built; CONCURRENTLY does not block them")                      \
  X(CREATE_UNIQUE, "create-unique-index", CONDITIONAL, SHARE, SCANS, NULL,                          \
    "writers wait until it is built; then the code must write no duplicates")                       \
  X(CREATE_INDEX_C, "create-index-concurrently", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, SCANS, NULL,   \
    "blocks nobody; waits for transactions that are open")                                          \
  X(CREATE_UNIQUE_C, "create-unique-index-concurrently", CONDITIONAL, SHARE_UPDATE_EXCLUSIVE, SCANS, NULL, \
    "blocks nobody; the code must write no duplicates")                                             \
  X(DROP_INDEX, "drop-index", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                           \
    "queries that used it become slow; ON CONFLICT needs a unique one")                             \
  X(DROP_INDEX_C, "drop-index-concurrently", CONDITIONAL, SHARE_UPDATE_EXCLUSIVE, READS, NULL,      \
    "blocks nobody; queries that used it become slow; ON CONFLICT needs a unique one")              \
  X(REINDEX, "reindex", COMPATIBLE, SHARE, SCANS, NULL,                                             \
    "writers wait, and readers by that index; CONCURRENTLY does not block them")                    \
  X(REINDEX_C, "reindex-concurrently", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, SCANS, NULL,             \
    "blocks nobody")                                                                                \
  X(ADD_COLUMN, "add-column", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                            \
    "code that does not know the column leaves it out; a default that is constant is not written to the rows") \
  X(ADD_COLUMN_REWRITE, "add-column-rewrite", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,         \
    "each row gets a value of its own (volatile default, serial, identity, generated): all rows are written anew") \
  X(ADD_REQUIRED, "add-required-column", BREAKING, ACCESS_EXCLUSIVE, SCANS, NULL,                   \
    "NOT NULL without a default: INSERTs of code that does not know it fail; so does the statement when there are rows") \
  X(DROP_COLUMN, "drop-column", BREAKING, ACCESS_EXCLUSIVE, READS, "the column's values",           \
    "code that names the column fails; stop using it first, drop it in a later release")            \
  X(RENAME_COLUMN, "rename-column", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                        \
    "code that uses the old name fails; add a column, write both, switch, drop later")              \
  X(SET_DEFAULT, "set-default", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                          \
    "holds for new rows only")                                                                      \
  X(DROP_DEFAULT, "drop-default", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                       \
    "INSERTs that leave the column out get NULL, and fail when it is NOT NULL")                     \
  X(DROP_DEFAULT_REQUIRED, "drop-default-required", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,        \
    "the column is NOT NULL: INSERTs of code that does not know it fail")                           \
  X(DROP_DEFAULT_UNKNOWN, "drop-default-unknown", UNKNOWN, ACCESS_EXCLUSIVE, READS, NULL,           \
    "whether the column is NOT NULL is not known here: if so, INSERTs that leave it out fail")      \
  X(SET_NOT_NULL, "set-not-null", CONDITIONAL, ACCESS_EXCLUSIVE, SCANS, NULL,                       \
    "the code must always write the column; readers wait for the scan. In three files: a CHECK (… IS NOT NULL) NOT VALID, VALIDATE it, then this") \
  X(SET_NOT_NULL_CHECKED, "set-not-null-checked", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,       \
    "a validated CHECK spares the scan; the code must always write the column")                     \
  X(DROP_NOT_NULL, "drop-not-null", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                      \
    "what the code writes stays valid; it must read NULLs once somebody writes them")               \
  X(TYPE_SAME, "widen-type", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                             \
    "the same bytes with a wider type: no rewrite")                                                 \
  X(TYPE_SCAN, "widen-type-scan", COMPATIBLE, ACCESS_EXCLUSIVE, SCANS, NULL,                        \
    "no rewrite, but readers wait while a CHECK of the column is tried on all rows, and an index with an expression or predicate is built anew") \
  X(TYPE_REWRITE, "widen-type-rewrite", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,               \
    "all old values fit, but the table and its indexes are written anew while readers wait")        \
  X(TYPE_NARROW, "change-type", BREAKING, ACCESS_EXCLUSIVE, REWRITES, "what the new type cannot hold", \
    "code written for the old type fails or reads something else")                                  \
  X(COLLATION, "change-collation", BREAKING, ACCESS_EXCLUSIVE, SCANS, NULL,                         \
    "what is equal, and the order, may change for the code; indexes are built anew while readers wait") \
  X(TYPE_UNKNOWN, "change-type-unknown", UNKNOWN, ACCESS_EXCLUSIVE, REWRITES, NULL,                 \
    "the old type is not known here, so it may narrow and rewrite")                                 \
  X(COLUMN_SETTING, "column-setting", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,              \
    "statistics and options of a column")                                                           \
  X(COLUMN_STORAGE, "column-storage", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                    \
    "storage and compression; holds for new values only")                                           \
  X(DROP_EXPRESSION, "drop-expression", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                 \
    "a generated column becomes a plain one, which the code must write itself")                     \
  X(DROP_IDENTITY, "drop-identity", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                        \
    "the column is NOT NULL: INSERTs that leave it out fail")                                       \
  X(IDENTITY, "change-identity", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                        \
    "INSERTs that leave the column out, or give it a value, may fail")                              \
  X(ADD_CHECK, "add-check", CONDITIONAL, ACCESS_EXCLUSIVE, SCANS, NULL,                             \
    "the code must write no rows that it forbids; readers wait for the scan. NOT VALID first, VALIDATE in a later file") \
  X(ADD_CHECK_NV, "add-check-not-valid", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                \
    "no scan; the code must write no rows that it forbids")                                         \
  X(ADD_FK, "add-foreign-key", CONDITIONAL, SHARE_ROW_EXCLUSIVE, SCANS, NULL,                       \
    "writers of both tables wait for the scan; the code must write no orphans. NOT VALID first, VALIDATE in a later file") \
  X(ADD_FK_NV, "add-foreign-key-not-valid", CONDITIONAL, SHARE_ROW_EXCLUSIVE, READS, NULL,          \
    "no scan; the code must write no orphans, and delete no row that is referred to")               \
  X(ADD_UNIQUE, "add-unique", CONDITIONAL, ACCESS_EXCLUSIVE, SCANS, NULL,                           \
    "readers wait until the index is built; the code must write no duplicates. CREATE UNIQUE INDEX CONCURRENTLY, then USING INDEX") \
  X(ADD_USING_INDEX, "add-constraint-using-index", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,      \
    "takes an index that is there; a primary key scans when a column is not yet NOT NULL")          \
  X(ADD_EXCLUDE, "add-exclusion", CONDITIONAL, ACCESS_EXCLUSIVE, SCANS, NULL,                       \
    "readers wait until the index is built; the code must write no rows that it forbids")           \
  X(VALIDATE, "validate-constraint", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, SCANS, NULL,               \
    "scans, but blocks nobody")                                                                     \
  X(DROP_CONSTRAINT, "drop-constraint", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                 \
    "what the code writes stays valid; ON CONFLICT needs the constraint when it is a unique one")   \
  X(ALTER_CONSTRAINT, "alter-constraint", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,               \
    "errors may come at the end of a transaction instead of at the statement")                      \
  X(RENAME_CONSTRAINT, "rename-constraint", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,             \
    "code that names it (ON CONFLICT ON CONSTRAINT, in error handling) fails")                      \
  X(RENAME_INDEX, "rename-index", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                       \
    "queries do not name indexes; but code that names the constraint of this one (ON CONFLICT ON CONSTRAINT) fails, and all code that uses it if it is a table") \
  X(RENAME_TABLE, "rename-table", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                          \
    "code that uses the old name fails; a view under the old name can bridge")                      \
  X(RENAME_OBJECT, "rename-object", BREAKING, NO_LOCK, READS, NULL,                                 \
    "code that uses the old name fails")                                                            \
  X(SET_SCHEMA, "set-schema", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                              \
    "code that looks for it in the old schema fails")                                               \
  X(SET_OWNER, "set-owner", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                             \
    "the role of the code must keep its rights, and be the owner for later changes")                \
  X(SET_PERSISTENCE, "set-logged", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,                    \
    "LOGGED, UNLOGGED: all rows are written anew; an unlogged table is empty after a crash")        \
  X(SET_TABLESPACE, "set-tablespace", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,                 \
    "all files are copied while readers wait")                                                      \
  X(SET_ACCESS_METHOD, "set-access-method", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,           \
    "all rows are written anew")                                                                    \
  X(TABLE_OPTIONS, "table-options", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                \
    "storage parameters such as fillfactor and autovacuum's; readers wait for some others")         \
  X(CLUSTER_ON, "cluster-on", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                      \
    "noted for a later CLUSTER")                                                                    \
  X(SWITCH_TRIGGER, "switch-trigger", CONDITIONAL, SHARE_ROW_EXCLUSIVE, READS, NULL,                \
    "what the trigger did for the code's writes is done no longer, or again")                       \
  X(SWITCH_RULE, "switch-rule", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                         \
    "what the code reads or writes is rewritten no longer, or again")                               \
  X(ROW_SECURITY, "row-security", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                       \
    "without a policy everybody but the owner sees no rows; FORCE includes the owner")              \
  X(REPLICA_IDENTITY, "replica-identity", COMPATIBLE, ACCESS_EXCLUSIVE, READS, NULL,                \
    "what replication writes about old rows")                                                       \
  X(INHERITANCE, "change-inheritance", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                  \
    "queries of the parent see its rows, or no longer")                                             \
  X(ATTACH, "attach-partition", CONDITIONAL, ACCESS_EXCLUSIVE, SCANS, NULL,                         \
    "the partition is scanned unless a CHECK says the same; queries of the parent see its rows")    \
  X(DETACH, "detach-partition", BREAKING, ACCESS_EXCLUSIVE, READS, "rows, from the parent's view",  \
    "queries of the parent no longer see its rows, and new ones have no place")                     \
  X(DETACH_C, "detach-partition-concurrently", BREAKING, SHARE_UPDATE_EXCLUSIVE, READS, "rows, from the parent's view", \
    "blocks nobody; queries of the parent no longer see its rows")                                  \
  X(DROP_TABLE, "drop-table", BREAKING, ACCESS_EXCLUSIVE, READS, "the table's rows",                \
    "code that uses it fails; stop using it first, drop it in a later release")                     \
  X(DROP_VIEW, "drop-view", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                                \
    "code that uses it fails")                                                                      \
  X(DROP_SEQUENCE, "drop-sequence", BREAKING, ACCESS_EXCLUSIVE, READS, "the sequence's position",   \
    "code that uses it, and defaults that do, fail")                                                \
  X(DROP_SCHEMA, "drop-schema", BREAKING, NO_LOCK, READS, "everything in the schema",               \
    "code that uses what is in it fails")                                                           \
  X(DROP_TRIGGER, "drop-trigger", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                       \
    "what the trigger did for the code's writes is done no longer")                                 \
  X(DROP_RULE, "drop-rule", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                             \
    "what the code reads or writes is rewritten no longer")                                         \
  X(DROP_POLICY, "drop-policy", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                         \
    "which rows the code sees may change")                                                          \
  X(DROP_STATISTICS, "drop-statistics", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,            \
    "plans of queries may change")                                                                  \
  X(DROP_OBJECT, "drop-object", BREAKING, NO_LOCK, READS, NULL,                                     \
    "a type, function, extension, role or the like: code that uses it fails; CASCADE takes columns along") \
  X(DROP_OWNED, "drop-owned", BREAKING, ACCESS_EXCLUSIVE, READS, "everything that the role owns",   \
    "code that uses what the role owns fails")                                                      \
  X(DROP_DATABASE, "drop-database", BREAKING, NO_LOCK, READS, "the database",                       \
    "code that uses it fails")                                                                      \
  X(ADD_VALUE, "add-enum-value", CONDITIONAL, NO_LOCK, READS, NULL,                                 \
    "the code must not fail on a value it does not know; nobody may write it before")               \
  X(RENAME_VALUE, "rename-enum-value", BREAKING, NO_LOCK, READS, NULL,                              \
    "code that uses the old value fails")                                                           \
  X(ALTER_TYPE, "alter-type", BREAKING, ACCESS_EXCLUSIVE, READS, NULL,                              \
    "attributes of a composite type: code and tables that use it see another type")                 \
  X(ALTER_DOMAIN, "alter-domain", CONDITIONAL, SHARE, SCANS, NULL,                                  \
    "tables with columns of the domain are scanned while writers wait; the code must write what it allows") \
  X(DROP_DOMAIN_DEFAULT, "drop-domain-default", BREAKING, NO_LOCK, READS, NULL,                     \
    "INSERTs that leave out a column of the domain get NULL, and fail where that is forbidden")     \
  X(LOOSEN_DOMAIN, "loosen-domain", COMPATIBLE, NO_LOCK, READS, NULL,                               \
    "what the code writes stays valid")                                                             \
  X(ALTER_SEQUENCE, "alter-sequence", CONDITIONAL, SHARE_ROW_EXCLUSIVE, READS, NULL,                \
    "callers of nextval wait; numbers must not come twice")                                         \
  X(ALTER_OBJECT, "alter-object", CONDITIONAL, NO_LOCK, READS, NULL,                                \
    "properties of a function, role, extension, publication or the like change for the code too")   \
  X(ALTER_VIEW, "alter-view", CONDITIONAL, ACCESS_EXCLUSIVE, READS, NULL,                           \
    "options of a view")                                                                            \
  X(GRANT, "grant", COMPATIBLE, NO_LOCK, READS, NULL,                                               \
    "more rights")                                                                                  \
  X(REVOKE, "revoke", CONDITIONAL, NO_LOCK, READS, NULL,                                            \
    "the role of the code must not need the right")                                                 \
  X(COMMENT, "comment", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                            \
    "a comment or label")                                                                           \
  X(REFRESH, "refresh-view", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,                          \
    "readers wait until it is filled; CONCURRENTLY does not block them")                            \
  X(REFRESH_EMPTY, "refresh-view-no-data", BREAKING, ACCESS_EXCLUSIVE, REWRITES, NULL,              \
    "queries of it fail until it is filled again")                                                  \
  X(REFRESH_C, "refresh-view-concurrently", COMPATIBLE, EXCLUSIVE, READS, NULL,                     \
    "readers go on")                                                                                \
  X(VACUUM, "vacuum", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, SCANS, NULL,                              \
    "blocks nobody")                                                                                \
  X(VACUUM_FULL, "vacuum-full", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,                       \
    "all rows are written anew while readers wait")                                                 \
  X(ANALYZE, "analyze", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                            \
    "reads a sample; plans of queries may change")                                                  \
  X(CLUSTER, "cluster", COMPATIBLE, ACCESS_EXCLUSIVE, REWRITES, NULL,                               \
    "all rows are written anew while readers wait")                                                 \
  X(PUBLISH, "create-publication", COMPATIBLE, SHARE_UPDATE_EXCLUSIVE, READS, NULL,                 \
    "UPDATE and DELETE then need a replica identity")                                               \
  X(SKIP_TRIGGERS, "skip-triggers", CONDITIONAL, NO_LOCK, READS, NULL,                              \
    "session_replication_role: triggers and foreign keys do not look at what is written from here on; the code must be able to live with it") \
  X(SERVER_SETTING, "server-setting", CONDITIONAL, NO_LOCK, READS, NULL,                            \
    "a setting of the server, a database or a role")
/* clang-format on */

typedef enum dr_sql_rule_id {
#define X(id, ...) DR_SQL_RULE_##id,
  DR_SQL_RULES(X)
#undef X
      DR_SQL_RULE_COUNT
} dr_sql_rule_id;

typedef struct dr_sql_rule {
  const char *name;
  dr_sql_class class;
  dr_sql_lock lock;
  int work; /* DR_SQL_READS, DR_SQL_SCANS, DR_SQL_REWRITES */
  const char *loses;
  const char *reason;
} dr_sql_rule;

const dr_sql_rule *dr__sql_rule(dr_sql_rule_id id);

/* True when a rule has this name. */
bool dr__sql_is_rule(const char *name);

/* "compatible" …; "ACCESS EXCLUSIVE" …, NULL for no lock; what waits for it: "reads" (reads and
 * writes), "writes", "schema" (other changes of the schema), NULL for nothing. */
const char *dr__sql_class_name(dr_sql_class value);
const char *dr__sql_lock_name(dr_sql_lock lock);
const char *dr__sql_lock_blocks(dr_sql_lock lock);

#endif
