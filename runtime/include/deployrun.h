/* deployrun.h - the public interface of libdeployrun, and the only header an embedding program
 * needs.
 *
 * A runtime loads one recipe, takes its params, and then shows what the recipe would do (dr_plan)
 * or does it (dr_run). Everything that happens is told to one observer as events. The library
 * installs no signal handlers, prints nothing and never calls exit(); errors are filled into a
 * caller's dr_err.
 *
 * A runtime belongs to the thread that made it. dr_cancel() alone may be called from any thread and
 * from a signal handler. Strings are UTF-8 and NUL-terminated; times are in the unit the name says;
 * a returned `const char *` belongs to the object it came from and lives as long as it does.
 */
#ifndef DEPLOYRUN_H
#define DEPLOYRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DR_VERSION "0.1.0"

#define DR_API __attribute__((visibility("default")))

/* What a call came to; also the exit code of the command. */
typedef enum dr_status {
  DR_OK = 0,      /* done */
  DR_FAILED = 1,  /* failed and undone, or found unfit before anything was changed */
  DR_USAGE = 2,   /* no such file; a param is unknown, missing or of the wrong type */
  DR_RECIPE = 3,  /* the recipe is wrong: syntax, unknown global, forbidden library, wrong call */
  DR_REFUSED = 4, /* a lock is held by somebody else */
  DR_UNDO_FAILED = 5,  /* failed, and at least one undo failed too */
  DR_INTERRUPTED = 130 /* cancelled by dr_cancel() */
} dr_status;

/* One error. Fixed buffers, so that it can be filled when memory is short; a text too long for its
 * buffer is cut at a character boundary. Clear it with dr_err_clear() before it goes out of scope.
 */
typedef struct dr_err {
  char code[48];      /* dotted, stable: "command.failed", "ssh.host_key_changed"; "" is no error */
  char message[1024]; /* what is wrong, one sentence, secrets masked */
  char hint[768];     /* what to do about it, or "" */
  char target[128];   /* the host or service it happened on, or "" */
  char op[64];        /* the op that failed, or "" */
  char where[256];    /* recipe file:line, or "" */
  char *detail;       /* more lines (a command's last output), or NULL; owned by the error */
  struct dr_err *cause; /* the error behind this one, or NULL; owned by the error */
} dr_err;

#define DR_ERR_INIT                                                                                \
  { .code = "" }

/* Frees what the error owns and makes it "no error". NULL is allowed. */
DR_API void dr_err_clear(dr_err *err);

/* The exit status that belongs to an error code: "usage.*" and "param.*" are DR_USAGE, "recipe.*"
 * is DR_RECIPE, "lock.held" is DR_REFUSED, "cancelled" is DR_INTERRUPTED, "" is DR_OK, all else
 * DR_FAILED. */
DR_API dr_status dr_err_status(const dr_err *err);

/* ------------------------------------------------------------ events */

/* An event, valid during the observer's call. Its fields are named; docs/architecture.md lists the
 * fields of each type. Secrets are masked in all of them. */
typedef struct dr_event dr_event;

typedef enum dr_event_type {
  DR_EVENT_RUN_STARTED,   /* run recipe mode params steps journal */
  DR_EVENT_STEP_STARTED,  /* step index total depth lane */
  DR_EVENT_STEP_FINISHED, /* step index total depth lane seconds */
  DR_EVENT_STEP_FAILED,   /* step index total depth lane seconds code message */
  DR_EVENT_OP_STARTED,    /* seq op kind target preview lane step */
  DR_EVENT_OP_FINISHED,   /* seq op kind target lane seconds */
  DR_EVENT_OP_FAILED,     /* seq op kind target lane seconds code message */
  DR_EVENT_OUTPUT,        /* seq target stream line */
  DR_EVENT_PROGRESS,      /* seq target message */
  DR_EVENT_LOG,           /* level message */
  DR_EVENT_UNDO_STARTED,  /* step */
  DR_EVENT_UNDO_FINISHED, /* step seconds */
  DR_EVENT_UNDO_FAILED,   /* step seconds code message */
  DR_EVENT_PROBE,     /* url requests failed longest_gap p50_ms p95_ms max_ms seconds versions */
  DR_EVENT_PLAN_STEP, /* step index depth lane */
  DR_EVENT_PLAN_OP,   /* n op kind target preview effects assumed assumes unknown done where lane
                         depth */
  DR_EVENT_PLAN_FINISHED, /* recipe actions checks queries effects */
  DR_EVENT_RUN_FINISHED,  /* run status exit_code seconds error undone journal */
  DR_EVENT_TICK           /* seconds; sent ten times a second while a run is under way */
} dr_event_type;

DR_API dr_event_type dr_event_kind(const dr_event *event);

/* The type's name as it stands in the JSON, e.g. "step_started". */
DR_API const char *dr_event_name(const dr_event *event);

/* A field as text: strings as they are, numbers and booleans as JSON; "" when absent. `path` may go
 * into objects: "error.message". Valid until the next call with the same event. */
DR_API const char *dr_event_text(const dr_event *event, const char *path);

/* A field as a number; `otherwise` when absent or not a number. A boolean is 0 or 1. */
DR_API double dr_event_number(const dr_event *event, const char *path, double otherwise);

/* The number of items in an array field, 0 when absent; item `i` is reached by the path "field.0".
 */
DR_API size_t dr_event_count(const dr_event *event, const char *path);

/* The whole event as one line of JSON without a line end. */
DR_API const char *dr_event_json(const dr_event *event);

typedef void (*dr_observer)(const dr_event *event, void *data);

/* Asks a person. `secret` hides what is typed. Returns a malloc'd answer, or NULL when nobody can
 * be asked. Called on the runtime's thread; may block. */
typedef char *(*dr_asker)(const char *question, bool secret, void *data);

/* ------------------------------------------------------------ runtime */

typedef struct dr_runtime dr_runtime;

typedef struct dr_options {
  size_t size;             /* sizeof(dr_options), set by DR_OPTIONS_INIT */
  const char *recipes_dir; /* bundled recipes and their lib/; NULL: found beside the program */
  const char *state_dir; /* journals; NULL: $XDG_STATE_HOME/deployrun or ~/.local/state/deployrun */
  size_t memory_limit;   /* bytes the recipe's Lua may use */
  unsigned cpu_limit_ms; /* how long Lua may compute without waiting for anything */
  unsigned grace_ms;     /* how long undo and cleanup may take after a cancel */
  dr_observer observer;  /* may be NULL */
  void *observer_data;
  dr_asker asker; /* NULL: nobody can be asked */
  void *asker_data;
} dr_options;

#define DR_OPTIONS_INIT                                                                            \
  {                                                                                                \
    .size = sizeof(dr_options), .memory_limit = 256u << 20, .cpu_limit_ms = 10000,                 \
    .grace_ms = 600000                                                                             \
  }

/* Makes a runtime. Returns DR_OK, or DR_FAILED with err filled and *out NULL. Free it with
 * dr_runtime_free(). */
DR_API int dr_runtime_new(dr_runtime **out, const dr_options *options, dr_err *err);

/* Closes every connection and frees the runtime. NULL is allowed. */
DR_API void dr_runtime_free(dr_runtime *rt);

/* Reads a recipe: a path, or the name of a bundled recipe ("rolling"). Runs the file's top level,
 * which can describe but not act. Returns DR_OK, DR_USAGE (no such file) or DR_RECIPE. Once per
 * runtime. */
DR_API int dr_load(dr_runtime *rt, const char *recipe, dr_err *err);

DR_API const char *dr_recipe_name(const dr_runtime *rt);
DR_API const char *dr_recipe_summary(const dr_runtime *rt);
DR_API const char *dr_recipe_path(const dr_runtime *rt);

/* One param as the recipe declares it. */
typedef struct dr_param {
  const char *name;
  const char
      *type; /* "string" "path" "url" "list" "int" "number" "bool" "enum" "host" "duration" */
  const char *initial; /* the default as it would be typed, or NULL when there is none */
  const char *help;    /* or "" */
  const char *choices; /* of an enum, separated by "|", or "" */
  bool required;
} dr_param;

/* The recipe's params in the order of their names. `out` is filled with borrowed strings. Returns
 * false past the last one. */
DR_API bool dr_recipe_param(const dr_runtime *rt, size_t index, dr_param *out);

/* Gives a param a value as typed on a command line. Returns DR_OK or DR_USAGE (unknown param, wrong
 * type). */
DR_API int dr_set(dr_runtime *rt, const char *name, const char *value, dr_err *err);

/* Reads params from a file of `name = value` lines; a line that begins with '#' is a comment. */
DR_API int dr_set_file(dr_runtime *rt, const char *path, dr_err *err);

/* Adds an env file (KEY=value lines) to what the recipe reads with env.KEY and secret("KEY"). */
DR_API int dr_env_file(dr_runtime *rt, const char *path, dr_err *err);

/* Walks the recipe without changing anything and tells the plan as DR_EVENT_PLAN_* events. */
DR_API int dr_plan(dr_runtime *rt, dr_err *err);

/* Walks the recipe once as a dry run, then runs it. Returns the dr_status that
 * DR_EVENT_RUN_FINISHED carries. */
DR_API int dr_run(dr_runtime *rt, dr_err *err);

/* Asks the run or the plan to stop. The first call cancels what is under way, lets cleanup and undo
 * run within grace_ms; a second call ends those too. Async-signal-safe, callable from any thread.
 */
DR_API void dr_cancel(dr_runtime *rt);

/* The folder of bundled recipes in use. */
DR_API const char *dr_recipes_dir(const dr_runtime *rt);

#ifdef __cplusplus
}
#endif

#endif
