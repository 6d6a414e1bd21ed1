/* backup_database.c - see backup_database.h. Owns nothing but the SQL texts. Called by the backup
 * ops on the runtime's thread.
 */
#include "backup_database.h"

#include "core/err.h"
#include "sha256.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------ names */

enum { STAMP = 17, ROOM_FOR_NAME = 25, HASH = 8 };

void dr__backup_stamp(char *buffer, size_t size) {
  struct timespec now;
  struct tm parts;
  clock_gettime(CLOCK_REALTIME, &now);
  size_t used = strftime(buffer, size, "%Y%m%d%H%M%S", gmtime_r(&now.tv_sec, &parts));
  snprintf(buffer + used, size - used, "%03d", (int)(now.tv_nsec / 1000000));
}

/* The database's name, or the beginning of a long one and a hash. */
static void short_name(const char *database, char buffer[ROOM_FOR_NAME + 1]) {
  char hex[65], beginning[ROOM_FOR_NAME - HASH];
  if (strlen(database) <= ROOM_FOR_NAME) {
    dr__copy_text(buffer, ROOM_FOR_NAME + 1, database);
    return;
  }
  dr__sha256_of(database, strlen(database), hex);
  dr__copy_text(beginning, sizeof beginning, database);
  snprintf(buffer, ROOM_FOR_NAME + 1, "%s~%.*s", beginning, HASH, hex);
}

void dr__backup_name(char *buffer, const char *kind, const char *stamp, const char *database) {
  char name[ROOM_FOR_NAME + 1];
  short_name(database, name);
  snprintf(buffer, DR_BACKUP_NAME, "deployrun_%s_%.*s_%s", kind, STAMP, stamp, name);
}

const char *dr__backup_name_stamp(const char *name, const char *kind, const char *database) {
  static const char *const kinds[] = {"restoring", "scratch", "kept", "undone"};
  char wanted[DR_BACKUP_NAME];
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    size_t before = sizeof "deployrun_" + strlen(kinds[i]);
    if (kind && strcmp(kind, kinds[i]) != 0) continue;
    if (strlen(name) < before + STAMP || strspn(name + before, "0123456789") != STAMP) continue;
    dr__backup_name(wanted, kinds[i], name + before, database);
    if (strcmp(wanted, name) == 0) return name + before;
  }
  return NULL;
}

/* ------------------------------------------------------------ SQL */

/* The locale's provider and its names differ between versions: to_jsonb(d) has what there is. */
const char dr__backup_sql_facts[] =
    "SELECT pg_catalog.current_database() AS database,"
    " pg_catalog.current_setting('server_version') AS version,"
    " pg_catalog.current_setting('server_version_num') AS number,"
    " pg_catalog.jsonb_build_object("
    "  'owner', pg_catalog.pg_get_userbyid(d.datdba),"
    "  'encoding', pg_catalog.pg_encoding_to_char(d.encoding),"
    "  'collate', d.datcollate, 'ctype', d.datctype,"
    "  'provider', pg_catalog.to_jsonb(d)->>'datlocprovider',"
    "  'locale', coalesce(pg_catalog.to_jsonb(d)->>'datlocale',"
    "                     pg_catalog.to_jsonb(d)->>'daticulocale'),"
    "  'limit', d.datconnlimit,"
    "  'tablespace', (SELECT t.spcname FROM pg_catalog.pg_tablespace t"
    "    WHERE t.oid = d.dattablespace),"
    "  'subscriptions', (SELECT pg_catalog.jsonb_agg(s.subname ORDER BY s.subname)"
    "    FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid),"
    "  'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),"
    "  'settings', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
    "     'role', r.rolname, 'name', pg_catalog.split_part(c, '=', 1),"
    "     'value', pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)))"
    "    FROM pg_catalog.pg_db_role_setting s"
    "    CROSS JOIN pg_catalog.unnest(s.setconfig) AS c"
    "    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole"
    "    WHERE s.setdatabase = d.oid),"
    "  'grants', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
    "     'role', r.rolname, 'privilege', a.privilege_type, 'grantable', a.is_grantable))"
    "    FROM pg_catalog.aclexplode(d.datacl) AS a"
    "    LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee)"
    " )::text AS properties,"
    " pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask"
    " FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/* As pg_dump chooses: no system schemas, nothing that belongs to an extension. Views that hold rows
 * are filled again by a restore, from what is counted here. */
const char dr__backup_sql_tables[] =
    "SELECT n.nspname AS schema, c.relname AS name,"
    " pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND c.relpersistence <> 't'"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
    "  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid"
    "  AND d.deptype = 'e')"
    " ORDER BY 1, 2";

/* "public.orders: psql of anna (pid 4711) holds an ACCESS EXCLUSIVE lock". Who waits for one lets
 * nobody pass either. */
const char dr__backup_sql_holders[] =
    "ROLLBACK; SELECT pg_catalog.format('%I.%I: %s %s an ACCESS EXCLUSIVE lock', n.nspname,"
    " c.relname, CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE"
    "  pg_catalog.format('%s of %s%s (pid %s)', coalesce(nullif(a.application_name, ''),"
    "   'a program'), a.usename, ' from ' || pg_catalog.host(a.client_addr), l.pid) END,"
    " CASE WHEN l.granted THEN 'holds' ELSE 'waits for' END) AS who"
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND c.relkind = 'r'"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database"
    "  WHERE datname = pg_catalog.current_database())"
    " AND n.nspname !~ '^pg_' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"
    " ORDER BY l.granted DESC, 1 LIMIT 10";

/* The owner only where we may say so: else the database is ours, and its tables are theirs. The
 * tablespace only where the server has it and we may use it. */
const char dr__backup_sql_create[] =
    "SELECT pg_catalog.format("
    "  'CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',"
    "  $1::text, p->>'encoding', p->>'collate', p->>'ctype')"
    " || CASE WHEN p->>'provider' = 'i' THEN"
    "  pg_catalog.format(' LOCALE_PROVIDER icu ICU_LOCALE %L', p->>'locale') ELSE '' END"
    " || coalesce((SELECT pg_catalog.format(' OWNER %I', r.rolname) FROM pg_catalog.pg_roles r"
    "  WHERE r.rolname = p->>'owner' AND pg_catalog.pg_has_role(r.oid, 'MEMBER')), '')"
    " || coalesce((SELECT pg_catalog.format(' TABLESPACE %I', t.spcname)"
    "  FROM pg_catalog.pg_tablespace t WHERE t.spcname = p->>'tablespace'"
    "  AND t.spcname <> 'pg_default'"
    "  AND pg_catalog.has_tablespace_privilege(t.oid, 'CREATE')), '')"
    " AS statement FROM (SELECT $2::jsonb AS p) AS given";

/* Lists (search_path) are stored as text with commas, a part that is no plain name in double
 * quotes, and are set as a list of values. */
const char dr__backup_sql_dress[] =
    "WITH given AS (SELECT $1::text AS name, $2::jsonb AS p)"
    " SELECT pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT %s', name, (p->>'limit')::int)"
    "  AS statement FROM given WHERE (p->>'limit')::int >= 0"
    " UNION ALL SELECT pg_catalog.format('COMMENT ON DATABASE %I IS %L', name, p->>'comment')"
    "  FROM given WHERE p->>'comment' IS NOT NULL"
    " UNION ALL SELECT pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name)"
    "  FROM given WHERE pg_catalog.jsonb_typeof(p->'grants') = 'array'"
    " UNION ALL SELECT pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s', g->>'privilege', name,"
    "   CASE WHEN g->>'role' IS NULL THEN 'PUBLIC'"
    "    ELSE pg_catalog.quote_ident(g->>'role') END,"
    "   CASE WHEN (g->>'grantable')::bool THEN ' WITH GRANT OPTION' ELSE '' END)"
    "  FROM given, pg_catalog.jsonb_array_elements("
    "   CASE pg_catalog.jsonb_typeof(p->'grants') WHEN 'array' THEN p->'grants' ELSE '[]' END) g"
    "  WHERE g->>'privilege' IN ('CREATE', 'CONNECT', 'TEMPORARY') AND (g->>'role' IS NULL OR"
    "   EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = g->>'role'))"
    " UNION ALL SELECT CASE WHEN s->>'role' IS NULL"
    "   THEN pg_catalog.format('ALTER DATABASE %I SET %I TO %s', name, s->>'name', v)"
    "   ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET %I TO %s', s->>'role', name,"
    "    s->>'name', v) END"
    "  FROM given, pg_catalog.jsonb_array_elements("
    "   CASE pg_catalog.jsonb_typeof(p->'settings') WHEN 'array' THEN p->'settings' ELSE '[]' END)"
    "   s, LATERAL (SELECT CASE WHEN s->>'name' IN ('search_path', 'temp_tablespaces',"
    "    'session_preload_libraries', 'local_preload_libraries')"
    "    THEN (SELECT coalesce(pg_catalog.string_agg(pg_catalog.quote_literal("
    "     CASE WHEN m[1] ~ '^\"' THEN pg_catalog.replace("
    "      pg_catalog.substr(m[1], 2, pg_catalog.length(m[1]) - 2), '\"\"', '\"')"
    "      ELSE pg_catalog.btrim(m[1]) END), ', '), '''''')"
    "     FROM pg_catalog.regexp_matches(s->>'value',"
    "      '(\"(?:[^\"]|\"\")*\"|[^,\" ][^,]*)', 'g') m)"
    "    ELSE pg_catalog.quote_literal(s->>'value') END AS v) AS value"
    "  WHERE s->>'role' IS NULL OR"
    "   EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = s->>'role')";

/* ------------------------------------------------------------ counting */

json_t *dr__backup_tables(const dr_pg_answer *answer) {
  json_t *tables = json_array();
  for (size_t i = 0; tables && i < answer->rows; i++) {
    json_t *table =
        json_pack("{s:s, s:s, s:s}", "schema", dr__pg_field(answer, i, "schema"), "name",
                  dr__pg_field(answer, i, "name"), "quoted", dr__pg_field(answer, i, "quoted"));
    if (table && json_array_append_new(tables, table) == 0) continue;
    json_decref(tables);
    tables = NULL;
  }
  return tables;
}

static void count_next(dr_backup_job *job);

static void on_counted(dr_backup_job *job, const dr_pg_answer *answer) {
  json_t *table = json_array_get(job->tables, job->counted++);
  json_object_del(table, "quoted");
  json_object_set_new(table, "rows", json_integer(dr__pg_integer(answer, 0, "count", -1)));
  count_next(job);
}

static void count_next(dr_backup_job *job) {
  json_t *table = json_array_get(job->tables, job->counted);
  char *sql = NULL;
  if (!table) {
    job->on_tables_counted(job);
    return;
  }
  if (asprintf(&sql, "SELECT pg_catalog.count(*) FROM ONLY %s",
               json_string_value(json_object_get(table, "quoted"))) < 0)
    sql = NULL;
  dr__backup_job_query(job, job->counting_on, sql, NULL, on_counted);
  free(sql);
}

void dr__backup_count(dr_backup_job *job, int which, dr_backup_next next) {
  job->counted = 0;
  job->counting_on = which;
  job->on_tables_counted = next;
  count_next(job);
}

/* ------------------------------------------------------------ sessions */

/* A line each: "psql of anna from 10.0.0.7 (pid 4711, shop)"; and what no disconnecting ends. Not
 * the run's own: those are closed before a swap, which the server notices a little later. */
static const char sql_sessions[] =
    "SELECT pg_catalog.format('the prepared transaction %L of %s (%s)', gid, owner, database)"
    " AS who, 'f' AS client FROM pg_catalog.pg_prepared_xacts WHERE database IN ($1, $2)"
    " UNION ALL SELECT pg_catalog.format('%s of %s%s (pid %s, %s)',"
    " coalesce(nullif(application_name, ''), 'a program'), usename,"
    " ' from ' || pg_catalog.host(client_addr), pid, datname), 't'"
    " FROM pg_catalog.pg_stat_activity WHERE NOT $3::bool AND datname IN ($1, $2)"
    " AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()"
    " AND NOT (application_name ~ '^deployrun '"
    "  AND application_name = pg_catalog.current_setting('application_name')) ORDER BY client";

static void on_sessions(dr_backup_job *job, const dr_pg_answer *answer) {
  dr_err err = DR_ERR_INIT;
  dr_text who = {0};
  if (answer->rows == 0) {
    job->on_no_sessions(job);
    return;
  }
  const char *client = dr__pg_field(answer, 0, "client");
  bool prepared = client && *client == 'f';
  for (size_t i = 0; i < answer->rows && i < 10; i++)
    dr__text_printf(&who, "%s\n", dr__pg_text(answer, i, 0));
  dr__fail(&err, "backup.in_use", "the database cannot be replaced: %s",
           prepared            ? "a prepared transaction is not ended"
           : answer->rows == 1 ? "a client is connected to it"
                               : "clients are connected to it");
  dr__err_hint(&err, prepared
                         ? "nothing was changed; in that database: COMMIT PREPARED or ROLLBACK "
                           "PREPARED with its name"
                         : "nothing was changed; stop what uses the database, or say disconnect = "
                           "true: then its sessions are ended");
  if (who.bytes) dr__err_detail(&err, who.bytes, who.length);
  dr__text_free(&who);
  dr__backup_job_fail(job, &err);
}

void dr__backup_sessions(dr_backup_job *job, const char *database, const char *other, bool allowed,
                         dr_backup_next next) {
  job->on_no_sessions = next;
  dr__backup_job_query(job, DR_BACKUP_MAIN, sql_sessions,
                       json_pack("[s, s?, s]", database, other, allowed ? "t" : "f"), on_sessions);
}

/* ------------------------------------------------------------ dropping */

char *dr__backup_drop_text(dr_pg *pg, const char *name) {
  char *quoted = dr__pg_identifier(pg, name);
  char *text = NULL;
  if (!quoted || asprintf(&text, "DROP DATABASE IF EXISTS %s", quoted) < 0) text = NULL;
  free(quoted);
  return text;
}

/* What it failed for is told all the same; only what was to be gone and is not comes with it. */
static void on_dropped(dr_backup_job *job, const dr_pg_answer *answer) {
  if (!answer)
    dr__err_hint(&job->err, "%s could not be dropped: %s. Drop it by hand, or by db:drop_kept()",
                 job->dropping, job->refusal.message);
  dr__backup_job_end(job);
}

static void on_terminated(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  char *text = dr__backup_drop_text(job->pg[DR_BACKUP_MAIN], job->dropping);
  dr__backup_job_try(job, DR_BACKUP_MAIN, text, NULL, on_dropped);
  free(text);
}

static void on_drop_connected(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN,
                       "SELECT pg_catalog.pg_terminate_backend(pid)"
                       " FROM pg_catalog.pg_stat_activity WHERE datname = $1",
                       json_pack("[s]", job->dropping), on_terminated);
}

void dr__backup_drop_and_end(dr_backup_job *job, const char *maintenance, const char *name) {
  job->dropping = name;
  dr__backup_job_connect(job, DR_BACKUP_MAIN, maintenance, on_drop_connected);
}
