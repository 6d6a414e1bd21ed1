/* transfer.h - what the ops that move files share: transfer_upload.c, transfer_download.c and
 * sync_op.c. On the runtime's thread, but for what says otherwise. */
#ifndef DR_TRANSFER_H
#define DR_TRANSFER_H

#include "target/target.h"
#include "text.h"

enum {
  DR_TRANSFER_SECONDS = 3600, /* for one attempt, where the recipe gives no bound */
  DR_TRANSFER_STALL = 60,     /* without a byte */
  DR_TRANSFER_ATTEMPTS = 3,
  DR_PROBE_SECONDS = 600,             /* for what may hash a large file */
  DR_TRANSFER_LIST = 64 * 1024 * 1024 /* bytes of a folder's list that are kept */
};

/* transfer_upload.c and transfer_download.c: target.upload and target.download */
extern const dr_arg dr__upload_args[], dr__download_args[];
char *dr__upload_preview(const dr_op *op);
json_t *dr__upload_assume(const dr_op *op);
int dr__upload_check(const dr_op *op, dr_err *err);
int dr__upload_start(dr_op *op, dr_err *err);
char *dr__download_preview(const dr_op *op);
json_t *dr__download_assume(const dr_op *op);
int dr__download_check(const dr_op *op, dr_err *err);
int dr__download_start(dr_op *op, dr_err *err);

/* fetch_op.c: goes on with a download whose source is a folder. */
int dr__fetch_begin(dr_op *op, dr_err *err);

/* sync_op.c: fs.manifest, target.compare, target.sync */
extern const dr_arg dr__manifest_args[], dr__compare_args[], dr__sync_args[];
char *dr__manifest_preview(const dr_op *op);
json_t *dr__manifest_assume(const dr_op *op);
int dr__manifest_start(dr_op *op, dr_err *err);
char *dr__compare_preview(const dr_op *op);
json_t *dr__compare_assume(const dr_op *op);
int dr__sync_check(const dr_op *op, dr_err *err);
int dr__compare_start(dr_op *op, dr_err *err);
char *dr__sync_preview(const dr_op *op);
json_t *dr__sync_assume(const dr_op *op);
int dr__sync_start(dr_op *op, dr_err *err);

/* ---- transfer_script.c: what runs on the target; pure */

/* How the scripts end; anything else is a surprise. */
enum {
  DR_TRANSFER_FOLDER = 21,    /* the destination is a folder */
  DR_TRANSFER_NO_PARENT = 22, /* the folder it is to be in does not exist */
  DR_TRANSFER_DENIED = 23,    /* that folder may not be written to */
  DR_TRANSFER_ODD = 24,       /* the destination is a device, a socket … */
  DR_TRANSFER_FULL = 25,      /* the disk is full */
  DR_TRANSFER_WRITE = 26,     /* writing failed otherwise */
  DR_TRANSFER_SHORT = 27,     /* not all arrived */
  DR_TRANSFER_HASH = 28,      /* what arrived is something else */
  DR_TRANSFER_MOVED_ON = 29,  /* the partial file is not as it was a moment ago */
  DR_TRANSFER_OWNER = 30,     /* owner or mode cannot be set */
  DR_TRANSFER_NO_SUM = 31,    /* neither openssl nor sha256sum */
  DR_TRANSFER_MISSING = 32,   /* no such file */
  DR_TRANSFER_NO_FOLDER = 33, /* the destination of a sync is a file */
  DR_TRANSFER_NAME = 34,      /* a name that the tools there cannot list */
  DR_TRANSFER_INSTALL = 35,   /* putting the new files in their places failed in the middle */
  DR_TRANSFER_NO_TAR = 36,
  DR_TRANSFER_NOTHING = 40 /* no error: the folder does not exist yet */
};

/* Shell text with f set before it, see dr__fs_script(). Their words ($1 …) stand beside them. */
extern const char dr__transfer_probe[], dr__transfer_store[], dr__transfer_adjust[],
    dr__transfer_facts[], dr__transfer_give[];

/* The shell function `sum FILE`, which sets h to a file's SHA-256. */
#define DR_TRANSFER_SUM                                                                            \
  "sum() {\n"                                                                                      \
  "  h=\n"                                                                                         \
  "  if command -v openssl >/dev/null 2>&1; then\n"                                                \
  "    h=$(openssl dgst -sha256 -r <\"$1\" 2>/dev/null | cut -c1-64)\n"                            \
  "  fi\n"                                                                                         \
  "  [ ${#h} -eq 64 ] || h=$(sha256sum <\"$1\" 2>/dev/null | cut -c1-64)\n"                        \
  "  [ ${#h} -eq 64 ]\n"                                                                           \
  "}\n"

/* The shell function `may_own OWNER FOLDER`: true when this user can give a new file in the folder
 * to that owner and group. It is tried, as groups, containers and setgid folders make any rule
 * wrong. */
#define DR_TRANSFER_MAY_OWN                                                                        \
  "may_own() {\n"                                                                                  \
  "  [ \"$1\" != \"$(id -u):$(id -g)\" ] || return 0\n"                                            \
  "  q=$(mktemp \"$2/.deployrun.XXXXXX\") || return 0\n"                                           \
  "  owned=0; chown -- \"$1\" \"$q\" || owned=1\n"                                                 \
  "  rm -f -- \"$q\"\n"                                                                            \
  "  return $owned\n"                                                                              \
  "}\n"

/* sync_script.c: the same for folders. dr__sync_hash reads names from standard input. */
extern const char dr__sync_list[], dr__sync_hash[], dr__sync_receive[];

/* What the probe said about the destination. */
typedef struct dr_transfer_facts {
  bool found;
  char sha256[65]; /* "" when it was not asked for, as the size differs, or cannot be read */
  char mode[8];    /* "644" */
  char ids[48];    /* "1000:1000" */
  char owner[160]; /* "app:app" */
  int64_t size;
  int64_t partial;   /* bytes of a partial file, 0: none */
  int64_t available; /* bytes on that disk, -1: not known */
} dr_transfer_facts;

/* Reads the probe's answer, lines "key value…". False when it is none. */
bool dr__transfer_read_facts(const char *text, dr_transfer_facts *facts);

/* True when a file that belongs to `ids` and `owner` belongs to `wanted` ("app", "app:www",
 * "1000:1000"). */
bool dr__transfer_owned(const dr_transfer_facts *facts, const char *wanted);

/* True when two modes of octal digits are the same: "0644" and "644". */
bool dr__transfer_same_mode(const char *a, const char *b);

/* ---- transfer.c */

/* Adds "1.2 MiB". */
void dr__transfer_add_size(dr_text *text, double bytes);

/* "1.2 MiB" in buffer. */
const char *dr__transfer_size(char buffer[32], double bytes);

/* Says how far the op is: for people, and as numbers. */
void dr__transfer_tell(dr_op *op, uint64_t moved, uint64_t total, double rate);

/* Says at the end what was moved, how fast, when it was much. `verb` is "uploaded". */
void dr__transfer_tell_done(dr_op *op, const char *verb, const char *what, uint64_t moved,
                            double seconds);

/* Fills err with what a script's exit status means for the path. */
void dr__transfer_explain(const dr_op *op, int status, const char *path, dr_err *err);

/* Fills err for a path of this machine that could not be read or written; nothing was replaced.
 * Returns DR_FAILED. Any thread. */
int dr__transfer_fail_here(const char *path, int number, dr_err *err);

double dr__transfer_seconds(const dr_op *op);

#define DR_TRANSFER_RESUMES                                                                        \
  "the old file is whole; what arrived is kept, and the next run goes on with it"

/* ---- transfer_attempt.c */

/* The first question of a transfer. */
typedef int (*dr_transfer_begin)(dr_op *op, json_int_t attempt, dr_err *err);

/* A number that the command under way carries; "attempt" is always there. */
json_int_t dr__transfer_carried(const dr_op *op, const char *name);

/* A short question to the target, begun a little later with each attempt; the command is taken
 * over. parse and fail are the caller's to set. */
dr_exec_spec dr__transfer_ask(json_t *command, json_int_t attempt);

/* The next question of a sync: the hashes of these files (names as dr__sync_hash reads them) in the
 * folder; list, what the question before answered, goes with it as "list". The rest as above. */
dr_exec_spec dr__transfer_ask_hashes(const char *folder, const dr_text *names, const json_t *list,
                                     json_int_t attempt);

/* A command that moves bytes; command, carry and files are taken over. parse, fail and pulse are
 * the caller's to set. */
dr_exec_spec dr__transfer_move(const dr_op *op, json_t *command, json_t *carry,
                               dr_exec_files *files);

/* Begins another attempt. False when there is none left, or it cannot begin. */
bool dr__transfer_again(dr_op *op, const char *why, dr_transfer_begin begin);

/* For fail: begins another attempt after an error that may pass; when there is none left, the hint
 * says what the next run does. */
void dr__transfer_failed(dr_op *op, dr_err *err, dr_transfer_begin begin, const char *hint);

#endif
