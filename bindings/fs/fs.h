/* fs.h - the ops on files of a target, in fs_target.c; their table is in fs.c. */
#ifndef DR_FS_H
#define DR_FS_H

#include "target/target.h"

extern const dr_arg dr__fs_write_args[];
char *dr__fs_preview_write(const dr_op *op);
json_t *dr__fs_assume_write(const dr_op *op);
int dr__fs_check_write(const dr_op *op, dr_err *err);
int dr__fs_check_path(const dr_op *op, dr_err *err);
int dr__fs_start_write(dr_op *op, dr_err *err);

char *dr__fs_preview_stat(const dr_op *op);
json_t *dr__fs_assume_stat(const dr_op *op);
int dr__fs_start_stat(dr_op *op, dr_err *err);

/* sh -c 'f=PATH; SCRIPT' sh WORDS: the path is put into the script, where "~/" is the target's
 * home. Takes over `words` (array); NULL when memory is short. */
json_t *dr__fs_script(const char *path, const char *script, json_t *words);

/* Three or four octal digits, or none. */
bool dr__fs_mode_ok(const char *mode);

/* The path on this machine with "~/" made whole; malloc'd. */
char *dr__fs_expand(const char *path);

/* The SHA-256 of what is left to read of a file, in hexadecimal digits. Returns 0, or an errno;
 * ECANCELED when *stop (may be NULL) became true. Any thread. */
int dr__fs_hash(int fd, const atomic_bool *stop, char hex[65]);

#endif
