/* backup_files.h - the files of a folder with backups: their names, one being written, the list of
 * those that are there, and which of them may go. Pure C, any thread; everything may wait for the
 * disk.
 *
 * A backup is three files, NAME.dump.zst, NAME.globals.sql (unless it was not wanted) and NAME.json
 * (backup_manifest.h), where NAME is DATABASE-20261129T165345.123Z. It exists when its manifest
 * does: that is the last to get its name. What is being written is called .NAME.*.part and locked
 * (flock), so that what a killed run left behind is told from what another run is writing.
 */
#ifndef DR_POSTGRES_BACKUP_FILES_H
#define DR_POSTGRES_BACKUP_FILES_H

#include <deployrun.h>

#include <jansson.h>
#include <stdatomic.h>
#include <time.h>

#define DR_BACKUP_DUMP ".dump.zst"
#define DR_BACKUP_GLOBALS ".globals.sql"
#define DR_BACKUP_JSON ".json"

/* One being written. */
typedef struct dr_backup_draft {
  char *folder;
  char *name; /* without folder and ending; final when dr__backup_draft_keep() succeeds */
  int fd;     /* of the dump's partial file, locked; -1: none */
  bool globals;
} dr_backup_draft;

/* Makes the folder (0700, those above it must be there), removes what killed runs of the same
 * database left in it, and opens a partial file (0600). DR_FAILED with err filled: backup.folder,
 * backup.no_space. */
int dr__backup_draft_open(dr_backup_draft *draft, const char *folder, const char *database,
                          int64_t when_ms, dr_err *err);

/* Writes the text of the globals, and brings it to the disk. backup.no_space, backup.write. */
int dr__backup_draft_globals(dr_backup_draft *draft, const char *text, dr_err *err);

/* Brings the dump and the manifest to the disk, gives all their names, the manifest's last, and
 * brings the folder to the disk. On failure nothing that looks like a backup is left. */
int dr__backup_draft_keep(dr_backup_draft *draft, const char *manifest, dr_err *err);

/* Removes what was written unless it was kept, and frees. */
void dr__backup_draft_close(dr_backup_draft *draft);

/* The path of a file of a backup, malloc'd. `path` is that of any of its files, or without ending.
 */
char *dr__backup_path(const char *path, const char *ending);

/* The name of a database as a file's: what could mislead is %XX. In buffer. */
void dr__backup_file_name(const char *database, char *buffer, size_t size);

/* Reads a backup's manifest. NULL with err filled: backup.not_found (no dump and no manifest),
 * backup.no_manifest, backup.manifest, backup.missing (a file of it), backup.truncated (a size is
 * not what the manifest says), backup.read. */
json_t *dr__backup_open(const char *path, dr_err *err);

/* Notes in the manifest that it was verified; a folder that may not be written to is no failure:
 * false then. */
bool dr__backup_note(const char *path, json_t *manifest, const char *how);

/* Notes that a restore found it bad, and why. False as above. */
bool dr__backup_refute(const char *path, json_t *manifest, const char *why);

/* The backups in a folder, newest first: an array of {name, manifest} and, where it cannot be used,
 * {name, problem = code}. database: only of that; or NULL. NULL with err filled: backup.folder. */
json_t *dr__backup_list(const char *folder, const char *database, dr_err *err);

/* Which of such a list may go, when `keep` verified ones are to stay: an array of names, oldest
 * first. Of each, `verified` (a boolean in its object) says whether its files are right now. Only
 * backups of `cluster` and `database` are looked at; nothing goes while there are fewer than keep
 * that are verified, and nothing that is not older than the last of these. Pure. */
json_t *dr__backup_surplus(const json_t *list, const char *cluster, const char *database,
                           int64_t keep);

/* Removes a backup's files: the manifest first, so that what is left in between is no backup. */
int dr__backup_remove(const char *folder, const char *name, dr_err *err);

/* The same by the path of any of its files. */
int dr__backup_discard(const char *path, dr_err *err);

/* Hashes the files of a backup, or only its globals. DR_FAILED: backup.corrupt, backup.read,
 * cancelled. */
int dr__backup_hash(const char *path, const json_t *manifest, const atomic_bool *stop, dr_err *err);
int dr__backup_hash_globals(const char *path, const json_t *manifest, const atomic_bool *stop,
                            dr_err *err);

/* Milliseconds since 1970. Two backups may be made in one second, and which is the newer decides
 * which is kept. */
int64_t dr__backup_now(void);

/* "2026-11-29T16:53:45.123Z" in buffer, of at least 25 bytes. */
void dr__backup_time(int64_t when_ms, char *buffer, size_t size);

#endif
