/* backup.h - the ops of backups, one file each; their table is in backup.c. Runtime's thread. */
#ifndef DR_POSTGRES_BACKUP_H
#define DR_POSTGRES_BACKUP_H

#include "ops/op.h"

/* backup_op.c: postgres.backup */
extern const dr_arg dr__backup_args[];
char *dr__backup_preview(const dr_op *op);
json_t *dr__backup_assume(const dr_op *op);
int dr__backup_start(dr_op *op, dr_err *err);

/* backup_verify.c: postgres.verify_backup */
extern const dr_arg dr__backup_verify_args[];
char *dr__backup_verify_preview(const dr_op *op);
json_t *dr__backup_verify_assume(const dr_op *op);
int dr__backup_verify_start(dr_op *op, dr_err *err);

/* backup_folder.c: postgres.backups, postgres.backup_facts, postgres.retain */
extern const dr_arg dr__backups_args[], dr__backup_facts_args[], dr__retain_args[];
char *dr__backups_preview(const dr_op *op);
json_t *dr__backups_assume(const dr_op *op);
int dr__backups_start(dr_op *op, dr_err *err);
char *dr__backup_facts_preview(const dr_op *op);
json_t *dr__backup_facts_assume(const dr_op *op);
int dr__backup_facts_start(dr_op *op, dr_err *err);
char *dr__retain_preview(const dr_op *op);
json_t *dr__retain_assume(const dr_op *op);
int dr__retain_check(const dr_op *op, dr_err *err);
int dr__retain_start(dr_op *op, dr_err *err);

/* backup_restore.c: postgres.restore, and postgres.rehearse, which drops what it restored */
extern const dr_arg dr__restore_args[];
char *dr__restore_preview(const dr_op *op);
char *dr__rehearse_preview(const dr_op *op);
json_t *dr__restore_assume(const dr_op *op);
int dr__restore_start(dr_op *op, dr_err *err);

/* backup_swap.c: postgres.swap, postgres.kept, postgres.drop_kept */
extern const dr_arg dr__swap_args[], dr__kept_args[], dr__drop_kept_args[];
char *dr__swap_preview(const dr_op *op);
json_t *dr__swap_assume(const dr_op *op);
int dr__swap_start(dr_op *op, dr_err *err);
char *dr__kept_preview(const dr_op *op);
json_t *dr__kept_assume(const dr_op *op);
int dr__kept_start(dr_op *op, dr_err *err);
char *dr__drop_kept_preview(const dr_op *op);
json_t *dr__drop_kept_assume(const dr_op *op);
int dr__drop_kept_start(dr_op *op, dr_err *err);

#endif
