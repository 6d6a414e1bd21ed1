/* ops/journal.h - the durable record of a run: what was about to be done, and what came of it. Pure
 * C on files.
 *
 * A run's folder is STATE/runs/ID; journal.jsonl in it holds one JSON object a line. An action's
 * intent is on the disk before the action begins, its outcome before any later action begins.
 * docs/architecture.md lists the lines.
 */
#ifndef DR_OPS_JOURNAL_H
#define DR_OPS_JOURNAL_H

#include "core/err.h"
#include "core/secrets.h"

typedef struct dr_journal dr_journal;

/* Makes the run's folder (0700) and its journal. NULL with err filled (journal.create). */
dr_journal *dr__journal_open(const char *state_dir, const char *run_id, const dr_secrets *secrets,
                             dr_err *err);

/* Writes one line (reference taken over), secrets masked; with `durable` it is on the disk when
 * this returns. Returns 0, or non-zero with err filled (journal.write). */
int dr__journal_write(dr_journal *journal, json_t *line, bool durable, dr_err *err);

/* Brings all that was written to the disk. Returns 0, or non-zero with err filled (journal.write).
 */
int dr__journal_sync(dr_journal *journal, dr_err *err);

/* The folder, as a person would open it. */
const char *dr__journal_path(const dr_journal *journal);

/* Closes it. One without a line is removed: nothing was begun. */
void dr__journal_close(dr_journal *journal);

#endif
