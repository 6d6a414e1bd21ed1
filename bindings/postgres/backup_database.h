/* backup_database.h - what a backup asks of a server, and the names of the databases that a restore
 * makes. Without Lua; runtime's thread.
 *
 * Such a database is called deployrun_KIND_YYYYMMDDHHMMSS_NAME, where KIND is `restoring` (being
 * filled, not served yet), `scratch` (only to prove a backup), `kept` (what was served before a
 * restore) or `undone` (what was served before a restore was taken back). Of a NAME that leaves no
 * room, the beginning and a hash stand there.
 */
#ifndef DR_POSTGRES_BACKUP_DATABASE_H
#define DR_POSTGRES_BACKUP_DATABASE_H

#include "backup_job.h"

enum { DR_BACKUP_NAME = 64 }; /* bytes of a database's name with its NUL */

/* The name, in a buffer of DR_BACKUP_NAME; stamp is "20261129165345123". */
void dr__backup_name(char *buffer, const char *kind, const char *stamp, const char *database);

/* The time to the millisecond, since two runs may begin in one second: "20261129165345123", in a
 * buffer of at least 18. */
void dr__backup_stamp(char *buffer, size_t size);

/* The stamp in such a name of that kind (NULL: any) and database, borrowed; NULL when it is no such
 * name. 17 digits, not ended. */
const char *dr__backup_name_stamp(const char *name, const char *kind, const char *database);

/* One row: database, version ("15.14"), number ("150014"), cluster ("" where it may not be asked),
 * properties (JSON). */
extern const char dr__backup_sql_facts[];

/* The tables whose rows are in a dump: schema, name, quoted. */
extern const char dr__backup_sql_tables[];

/* Ends the transaction; rows with who holds or waits for what lets nobody read such a table. */
extern const char dr__backup_sql_holders[];

/* $1 new name, $2 properties: one row with the statement that makes such a database. */
extern const char dr__backup_sql_create[];

/* The same: rows with the statements that give it the settings, grants and comment. */
extern const char dr__backup_sql_dress[];

/* The rows of an answer to sql_tables, as the manifest has them, and "quoted". New reference. */
json_t *dr__backup_tables(const dr_pg_answer *answer);

/* Counts the rows of job->tables on a connection, one table after another, and then calls next;
 * "quoted" is taken out. */
void dr__backup_count(dr_backup_job *job, int which, dr_backup_next next);

/* Goes on when no client is connected to either database (`other` may be NULL), or they are
 * `allowed`, and no transaction is prepared in one; else the job fails with backup.in_use, which
 * tells who is. */
void dr__backup_sessions(dr_backup_job *job, const char *database, const char *other, bool allowed,
                         dr_backup_next next);

/* Drops a database that a job made, its connections first, on a new connection to `maintenance`;
 * for clean: ends the job. */
void dr__backup_drop_and_end(dr_backup_job *job, const char *maintenance, const char *name);

/* "DROP DATABASE IF EXISTS x", malloc'd; NULL when memory is short. The connection must stand. */
char *dr__backup_drop_text(dr_pg *pg, const char *name);

#endif
