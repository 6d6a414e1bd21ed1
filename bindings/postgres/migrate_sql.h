/* migrate_sql.h - the SQL that migrations are wrapped in: the table that records them, and the
 * messages that run a step. Pure C, any thread. */
#ifndef DR_MIGRATE_SQL_H
#define DR_MIGRATE_SQL_H

#include "migrate_load.h"

/* The advisory lock that one runner holds for a database: "deployrun" in ASCII, its last 8 bytes.
 */
#define DR_MIGRATE_LOCK "7309461421257028974"

/* What one file left in the session is gone for the next: settings, the role, temporary tables,
 * prepared statements, cursors. DISCARD ALL would give the advisory lock up, too. */
#define DR_MIGRATE_NEW_SESSION                                                                     \
  "CLOSE ALL;" DR_MIGRATE_OWN_ROLE                                                                 \
  ";RESET ALL;DEALLOCATE ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES"
#define DR_MIGRATE_OWN_ROLE "RESET SESSION AUTHORIZATION;RESET ROLE"

extern const char *const dr__migrate_create_table; /* the schema and the table, if missing */
extern const char *const dr__migrate_select_rows;  /* as migrate_plan.h wants them, and more */

/* Which tables have children or partitions: name (as an SQL name, without its schema) and members.
 */
extern const char *const dr__migrate_select_families;

/* What is recorded of a file: a row of the table. */
typedef struct dr_migrate_mark {
  const dr_migration_file *file;
  const char *version; /* as the row has it */
  size_t done;         /* statements */
  int64_t running;     /* the one that begins now outside of a transaction; -1: none */
  double seconds;      /* to be added; negative: since the transaction began */
  bool first;          /* there is no row of it yet, so one that is there is an error */
  const char *by;
} dr_migrate_mark;

/* The statement that records it: a row that is written anew, changed, or (taken back whole)
 * removed. malloc'd, NULL with err filled. */
char *dr__migrate_record(const dr_migrate_mark *mark, dr_err *err);

/* Marks a migration as applied without running it; `seconds` is not used. */
char *dr__migrate_baseline(const json_t *file, const char *by);

/* Puts another hash into the row of a version. */
char *dr__migrate_rehash(const char *version, const char *sha256);

typedef struct dr_migrate_settings {
  int64_t lock_ms;      /* the longest wait for a lock */
  int64_t statement_ms; /* 0: no limit */
} dr_migrate_settings;

/* One message for the simple protocol. */
typedef struct dr_migrate_message {
  char *sql;
  int line;      /* of its first line, in the file */
  long *owner;   /* of each of its statements, the statement of the file, or -1 */
  size_t owners; /* how many there are */
} dr_migrate_message;

void dr__migrate_message_free(dr_migrate_message *message);

/* A step DR_STEP_TOGETHER, from BEGIN to COMMIT, with its record (borrowed text). `waits` has for
 * each statement of the file that others have to wait for how many tables it locks, and 0 for what
 * nobody waits for; NULL: none. When there are several, they have one wait for locks together: what
 * the first has taken is held while the others wait. NULL sql: out of memory. */
int dr__migrate_together(dr_migrate_message *out, const dr_migration_file *file,
                         const dr_migration_step *step, const dr_migrate_settings *settings,
                         const size_t *waits, const char *record);

/* What is to be sent before a statement that is run alone: its settings and its record. malloc'd.
 */
char *dr__migrate_before_alone(const dr_migrate_settings *settings, const char *record,
                               bool notices_loss);

/* A text as a literal, whatever the server's settings; malloc'd. */
char *dr__migrate_literal(const char *text);

#endif
