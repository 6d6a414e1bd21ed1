/* migrate_names.h - the names of migration files and the order of their versions. Pure C, any
 * thread; dr__migrations_list() reads a folder. */
#ifndef DR_MIGRATE_NAMES_H
#define DR_MIGRATE_NAMES_H

#include "core/err.h"

typedef enum dr_direction { DR_UP, DR_DOWN } dr_direction;

enum { DR_VERSION_DIGITS = 18, DR_MIGRATION_NAME_MAX = 200 };

/* "0007_add_phone.up.sql": version "0007", name "add_phone", DR_UP. Without ".up" it is DR_UP too.
 */
typedef struct dr_migration_name {
  char version[DR_VERSION_DIGITS + 1];
  char name[DR_MIGRATION_NAME_MAX + 1];
  dr_direction direction;
} dr_migration_name;

/* Reads the name of a file that ends with ".sql". False when it is no migration's name. */
bool dr__migration_name_parse(const char *file, dr_migration_name *out);

/* As strcmp(), by the number: "7" and "0007" are the same version. */
int dr__version_compare(const char *one, const char *other);

/* The migrations of a folder by their versions: [{version, name, up, down}], up and down the names
 * of files in it, down absent where there is none. What does not end with ".sql" and what begins
 * with a dot is passed over. New reference, or NULL with err filled: postgres.migration_file (a
 * name that cannot be read, two files of one version, a down file alone, no file at all),
 * fs.not_found, fs.failed. */
json_t *dr__migrations_list(const char *folder, dr_err *err);

/* The same of names instead of a folder's: an array of strings. */
json_t *dr__migrations_from_names(const char *folder, const json_t *names, dr_err *err);

#endif
