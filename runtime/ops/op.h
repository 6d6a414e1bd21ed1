/* ops/op.h - what an op is: one call into a binding, from the gate that admits it to the binding
 * that does it.
 *
 * A binding describes each op in a dr_opspec, in one table at the end of its file. It never decides
 * whether an op runs: the gate (gate.c) does, and calls start() only when it may. All functions
 * here are called on the runtime's thread; a binding that uses threads comes back to the loop
 * (uv_async, uv_queue_work) before it calls any.
 */
#ifndef DR_OPS_OP_H
#define DR_OPS_OP_H

#include <deployrun.h>

#include <jansson.h>
#include <uv.h>

typedef struct dr_op dr_op;
typedef struct dr_opspec dr_opspec;
struct dr_walk;
struct dr_lane;
struct dr_target;

typedef enum dr_kind {
  DR_QUERY,  /* reads facts; runs in a dry run too */
  DR_ACTION, /* changes something; recorded in a dry run */
  DR_CHECK   /* waits for or verifies what actions brought about; recorded in a dry run */
} dr_kind;

/* What an action does to the world. */
enum {
  DR_CHANGE = 1 << 0,      /* something is different afterwards */
  DR_DOWNTIME = 1 << 1,    /* users may notice */
  DR_DESTRUCTIVE = 1 << 2, /* something is removed */
  DR_IRREVERSIBLE = 1 << 3 /* there is no way back */
};

/* The parts of a target an op reads or touches. A query that reads what a planned action already
 * touched on the same target is "unknown until then" in a dry run. */
enum {
  DR_AREA_FILES = 1 << 0,
  DR_AREA_GIT = 1 << 1,
  DR_AREA_IMAGES = 1 << 2,
  DR_AREA_CONTAINERS = 1 << 3,
  DR_AREA_SERVICES = 1 << 4,
  DR_AREA_NETWORK = 1 << 5,
  DR_AREA_DATABASE = 1 << 6,
  DR_AREA_BACKUPS = 1 << 7, /* files a backup of a database writes: read by what reads any file, not
                               by what reads a certain one, which a backup never is */
  DR_AREA_ALL = ~0
};

typedef enum dr_arg_type {
  DR_ARG_STRING,   /* Lua string */
  DR_ARG_INTEGER,  /* Lua integer */
  DR_ARG_NUMBER,   /* Lua number */
  DR_ARG_BOOLEAN,  /* Lua boolean */
  DR_ARG_DURATION, /* number of seconds, or "90s" "5m" "1h"; a JSON real, in seconds, for the op */
  DR_ARG_COMMAND,  /* a string for the shell, or a list of strings for exact arguments */
  DR_ARG_STRINGS,  /* a list of strings; one string is a list of one */
  DR_ARG_MAP, /* a table with string keys and string/number/boolean values; a JSON object of strings
               */
  DR_ARG_ANY  /* any JSON-like value */
} dr_arg_type;

enum { DR_REQUIRED = 1 << 0 };

/* One argument of an op; a table of them ends with {0}. */
typedef struct dr_arg {
  const char *name;
  dr_arg_type type;
  unsigned flags;
} dr_arg;

struct dr_opspec {
  const char *name; /* "compose.build"; stable, in journals and plans */
  dr_kind kind;
  unsigned effects;      /* DR_CHANGE … of an action; the most it can do when effects_of is set */
  bool idempotent;       /* may be done again when in doubt */
  unsigned reads;        /* DR_AREA_… a query depends on */
  unsigned touches;      /* DR_AREA_… an action changes */
  unsigned touches_here; /* DR_AREA_… it changes on the machine deployrun runs on */
  const dr_arg *args;

  /* Refuses arguments that can never be right (recipe.argument), so that a walk finds them while
   * nothing has been changed; or NULL. No I/O. A result that a dry run assumed may be among them.
   */
  int (*check)(const dr_op *op, dr_err *err);

  /* The exact thing that will be done, as a colleague would review it (argv, SQL, HTTP request), in
   * malloc'd text; the gate masks secrets. NULL return: out of memory. */
  char *(*preview)(const dr_op *op);

  /* The effects of this op with these arguments; or NULL: `effects`. */
  unsigned (*effects_of)(const dr_op *op);

  /* What a dry run pretends the result was; a new JSON value. NULL pointer: an empty object. */
  json_t *(*assume)(const dr_op *op);

  /* Begins the work. Ends it by dr__op_done()/dr__op_fail() now or later from the loop, exactly
   * once; or returns non-zero with err filled, and then must not have called either. May set
   * op->self, op->cancel, op->release. */
  int (*start)(dr_op *op, dr_err *err);
};

/* An unfinished line of live output. */
typedef struct dr_partial_line {
  char *bytes;
  size_t length;
  size_t size;
} dr_partial_line;

/* What the gate needs of a target, in target.c: counted references, the name for plans and messages
 * ("web1 api"), and the machine it is on ("web1"). */
struct dr_target *dr__target_ref(struct dr_target *target);
void dr__target_unref(struct dr_target *target);
const char *dr__target_name(const struct dr_target *target);
const char *dr__target_machine(const struct dr_target *target);

/* An action on the target begins as soon as its intent is on the disk: its connection may get ready
 * meanwhile. */
void dr__target_prepare(struct dr_target *target);

/* One op under way. Made and freed by the gate. The fields below the line are the binding's. */
struct dr_op {
  const dr_opspec *spec;
  struct dr_walk *run;
  struct dr_lane *lane;
  struct dr_target *target; /* referenced; NULL for ops without one */
  json_t *args;             /* object, checked against spec->args; owned */
  uv_loop_t *loop;          /* the run's loop */
  int64_t seq;              /* number in the journal */
  struct dr_op *next;       /* of those that begin together */
  uint64_t started_ns;
  char where[256];      /* recipe file:line of the call */
  char *preview;        /* owned */
  int planned;          /* number in the plan of a dry run, from 1 */
  unsigned long denied; /* dr__json_denied() when it was last whole */
  bool finished;
  bool failed;
  json_t *result; /* owned */
  dr_err err;
  dr_partial_line lines[2]; /* of stdout and stderr */
  /* --- */
  bool assumed;               /* the result rests on what was planned: see dr__op_planned() */
  void *self;                 /* the binding's state of this op */
  void (*cancel)(dr_op *op);  /* asked to end early: must lead to dr__op_fail() soon; may be NULL */
  void (*release)(dr_op *op); /* frees self when the op is over; may be NULL */
};

/* DR_OK; or out_of_memory when memory was short since the op began, so that something it built may
 * lack a part: nothing of it is to be sent or run. Says so once: what tidies up afterwards goes on.
 */
int dr__op_whole(dr_op *op, dr_err *err);

/* The op is over and this is its result (reference taken over). NULL: there was no memory for it,
 * and the op fails. */
void dr__op_done(dr_op *op, json_t *result);

/* The op is over and failed; err is moved from. */
void dr__op_fail(dr_op *op, dr_err *err);

/* The op is over because it was cancelled: fails with the code `cancelled`. */
void dr__op_fail_cancelled(dr_op *op, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True when the op's lane was asked to stop; long loops in a binding look here. */
bool dr__op_cancelled(const dr_op *op);

/* True in a dry run in which planned actions touch these parts (DR_AREA_…) of the op's machine: a
 * query that fails for want of what they will make may assume a result, and sets op->assumed. */
bool dr__op_planned(const dr_op *op, unsigned areas);

/* Shows live output of the op, in whole lines; stream is 1 or 2. Bytes need not end with a line:
 * what is left is shown when the op ends, or by dr__op_output_end(). */
void dr__op_output(dr_op *op, int stream, const char *bytes, size_t length);
void dr__op_output_end(dr_op *op);

/* Tells how far the op is: one line, replaced by the next. */
void dr__op_progress(dr_op *op, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same in bytes: what was moved of what there is, and bytes a second; `message` is for people.
 */
void dr__op_moved(dr_op *op, uint64_t moved, uint64_t total, double rate, const char *message);

/* Says something that is worth keeping when the op is over. */
void dr__op_log(dr_op *op, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The arguments with every secret masked, for a preview that shows a part of them only: the gate,
 * which masks previews, would not know a part of a secret. New reference; NULL: out of memory. */
json_t *dr__op_masked_args(const dr_op *op);

/* Typed access to checked args; the `otherwise` value when absent. Borrowed from the op. */
const char *dr__arg_string(const dr_op *op, const char *name, const char *otherwise);
int64_t dr__arg_integer(const dr_op *op, const char *name, int64_t otherwise);
double dr__arg_number(const dr_op *op, const char *name, double otherwise);
bool dr__arg_boolean(const dr_op *op, const char *name, bool otherwise);
json_t *dr__arg(const dr_op *op, const char *name);

#endif
