/* backup_manifest.h - what is known of a backup: the JSON file beside it. Pure C, any thread;
 * reads text from outside and is fuzzed.
 *
 *   {
 *     "format": 1,
 *     "database": "shop",
 *     "taken": "2026-11-29T16:53:45Z",     of the snapshot
 *     "by": "anna@laptop",
 *     "deployrun": "0.3.0",
 *     "cluster": "7435134951355215961",    the server's system identifier
 *     "server": "15.14",
 *     "pg_dump": "15.14",
 *     "seconds": 12.5,
 *     "archive": {"bytes": …, "sha256": "…", "plain_bytes": …, "plain_sha256": "…"},
 *     "globals": {"bytes": …, "sha256": "…"},             absent when not wanted
 *     "properties": {"owner": …, "encoding": …, …},       of the database; see backup_database.c
 *     "tables": [{"schema": "public", "name": "orders", "rows": 1234}, …],
 *     "verified": {"at": "2026-…", "how": "read" or "restore"},   absent until then
 *     "refuted": {"at": "2026-…", "why": "…"},            a restore found it bad; not both
 *     "seal": "…"                          SHA-256 of all the rest, so that an edit is noticed
 *   }
 *
 * The files' names are not in it: NAME.dump.zst, NAME.globals.sql and NAME.json belong together.
 */
#ifndef DR_POSTGRES_BACKUP_MANIFEST_H
#define DR_POSTGRES_BACKUP_MANIFEST_H

#include <deployrun.h>

#include <jansson.h>
#include <stdint.h>

enum { DR_BACKUP_FORMAT = 1, DR_BACKUP_MANIFEST_MAX = 64 * 1024 * 1024 };

/* Reads a manifest. NULL with err filled: backup.manifest (no such JSON, edited, of a later
 * format). */
json_t *dr__backup_manifest_read(const char *text, size_t length, dr_err *err);

/* Puts the seal on and prints it; malloc'd, NULL when memory is short. */
char *dr__backup_manifest_print(json_t *manifest);

/* Says that the backup was verified: how is "read" or "restore"; the better one stays, and a
 * refuted one is only redeemed by a restore. False when memory is short. */
bool dr__backup_manifest_verified(json_t *manifest, const char *at, const char *how);

/* Says that a restore found the backup bad, and why: it is not verified any more. False when memory
 * is short. */
bool dr__backup_manifest_refuted(json_t *manifest, const char *at, const char *why);

/* Fields of a manifest that was read; "" or 0 when absent. `part` is "archive" or "globals". */
const char *dr__backup_manifest_text(const json_t *manifest, const char *name);
int64_t dr__backup_manifest_bytes(const json_t *manifest, const char *part);
const char *dr__backup_manifest_sha256(const json_t *manifest, const char *part);

/* The rows of all tables. */
int64_t dr__backup_manifest_rows(const json_t *manifest);

/* Compares the tables of a manifest with those of a restored database (the same array). Returns
 * true when they are the same; else writes the first difference for people. */
bool dr__backup_tables_same(const json_t *wanted, const json_t *found, char *why, size_t size);

/* The major version in "pg_dump (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)" or in "15.14", and the
 * version itself ("15.14") in a buffer; 0 when there is none. */
int dr__backup_version(const char *text, char *version, size_t size);

#endif
