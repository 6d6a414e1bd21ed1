/* core/runtime.h - the two structures everything hangs on: the runtime (one recipe, its loop, its
 * connections) and the walk (one way through the recipe, a dry run or a real one, with a Lua state
 * of its own).
 *
 * The rooms of the core, each a .c file, and what they do with these structures:
 * - runtime.c: makes and frees the runtime; the public functions
 * - recipe.c: loads a recipe's description
 * - source.c: files of Lua, read once and kept
 * - embedded.c: deployrun's own Lua, as functions
 * - parts.c: the Lua of the bindings, run on demand
 * - globals.c: unknown globals, found before anything runs
 * - sandbox.c: what Lua can see, and its limits
 * - run.c: drives a run from its first op to its last undo
 * - lane.c: coroutines and the one lua_resume
 * - tell.c: events to the observer, secrets masked
 */
#ifndef DR_CORE_RUNTIME_H
#define DR_CORE_RUNTIME_H

#include "core/err.h"
#include "core/secrets.h"
#include "ops/binding.h"

#include <stdatomic.h>

typedef struct dr_walk dr_walk;
typedef struct dr_lane dr_lane;
typedef struct dr_journal dr_journal;

/* A value a binding keeps in the runtime. */
typedef struct dr_kept {
  struct dr_kept *next;
  const char *key;
  void *value;
  void (*close)(void *value);
} dr_kept;

struct dr_runtime {
  dr_options options; /* strings owned */
  uv_loop_t loop;
  uv_async_t wake; /* dr_cancel from anywhere */
  atomic_int cancels;
  bool loop_made;
  dr_secrets *secrets;
  json_t *sources;  /* path → text of every Lua file read */
  json_t *env_file; /* object of strings from dr_env_file */
  json_t *params;   /* declarations, see core/params.h */
  json_t *given;    /* values set by dr_set */
  char *recipe_path;
  char *recipe_name;
  char *recipe_summary;
  dr_kept *kept;
  dr_walk *run;  /* under way, or NULL */
  dr_walk *next; /* made ahead: the recipe is evaluated in it, nothing walked; or NULL */
};

typedef enum dr_mode {
  DR_MODE_LOAD, /* the top level of the file: no ops at all */
  DR_MODE_DRY,  /* dry run, or the walk before a run */
  DR_MODE_RUN
} dr_mode;

struct dr_walk {
  dr_runtime *rt;
  lua_State *L; /* the main thread; recipe code runs in lanes only */
  dr_mode mode;
  bool evaluated; /* the recipe's table is on the stack of L */
  bool before;    /* a run follows this one */
  char id[40];
  uint64_t started_ns;
  /* lanes */
  dr_lane *lanes; /* all that live */
  dr_lane *ready_first, *ready_last;
  dr_lane *current;
  bool turning_loop; /* inside uv_run */
  bool unwinding;    /* steps are being undone: a first cancel only sets a bound to that */
  int cancel_level;  /* 0, 1: undo and cleanup may run, 2: stop at once */
  uv_timer_t grace;
  uv_timer_t tick;
  uint64_t resumed_ns; /* since when Lua has been computing */
  bool overrun;        /* it was told once that this is too long */
  size_t memory_used;
  /* gate */
  int64_t seq;
  json_t *plan;  /* array of plan_step and plan_op objects in a dry run */
  int planned;   /* ops in it */
  json_t *dirty; /* target name → areas touched by planned actions */
  dr_journal *journal;
  dr_op *to_begin, **to_begin_end; /* actions whose intent is written, not yet on the disk */
  bool headed;                     /* the journal's first line is written */
  json_t *values;                  /* the params' values */
  int steps;                       /* top-level steps seen so far */
  int steps_known;                 /* top-level steps the walk before found, or 0 */
  bool changed;                    /* an action was begun */
};

/* ---- tell.c */

/* Tells the observer an event (fields' reference taken over, NULL when memory was short), secrets
 * masked. False when it could not be told. */
bool dr__tell(dr_runtime *rt, dr_event_type type, json_t *fields);

/* ---- source.c */

/* The text of a Lua file, read once per runtime. Borrowed JSON string, or NULL with err filled. */
const json_t *dr__source_read(dr_runtime *rt, const char *path, dr_err *err);

/* Finds the file of a recipe: a path, or a bundled recipe's name. malloc'd, or NULL with err
 * filled. */
char *dr__source_recipe(dr_runtime *rt, const char *recipe, dr_err *err);

/* Finds a module for require(): beside the recipe, then among the bundled recipes. malloc'd; NULL
 * when there is none, and without memory with err filled too. */
char *dr__source_module(dr_runtime *rt, const char *module, dr_err *err);

/* The folder of bundled recipes: $DEPLOYRUN_RECIPES, else beside the program, else where it was
 * built or installed. malloc'd, NULL when memory is short. */
char *dr__source_bundled(void);

/* ---- embedded.c */

/* Pushes the function that an embedded source is. [-0, +1, throws] */
void dr__embedded_push(lua_State *L, const dr_lua_source *source);

/* ---- parts.c */

/* Functions of `core`: run_part, part_names. */
extern const luaL_Reg dr__parts_functions[];

/* Lets the table on top of the stack, `core`, find core.<binding>, the C functions of each binding.
 * [-0, +0, throws] */
void dr__parts_open(lua_State *L);

/* Runs the parts that are not run on demand. [-0, +0, throws] */
void dr__parts_begin(lua_State *L);

/* Whether a part gives this global; nothing is run. */
bool dr__part_gives(const char *name, size_t length);

/* ---- globals.c */

/* A global that a file names and nobody gives. */
typedef struct dr_global {
  const char *name; /* not ended by a NUL; in the text that dr__globals_unknown() pushed */
  size_t length;
  size_t line;
  bool assigned; /* it is assigned to: a new one is an error whatever its name */
} dr_global;

/* Looks for the first one in the function on top of the stack; at index 1 is the table of those
 * that there are. True when there is one; may push a value that it lives in. [-0, +?, memory] */
bool dr__globals_unknown(lua_State *L, dr_global *first);

/* ---- sandbox.c */

/* Makes the Lua state of a run: allow-listed libraries, limits, bindings, prelude. NULL with err
 * filled. */
lua_State *dr__sandbox_new(dr_walk *run, dr_err *err);

/* Lua may compute for the whole limit again: it has waited, or it undoes. */
void dr__cpu_restart(dr_walk *run);

/* The run a Lua state belongs to. */
dr_walk *dr__lua_run(lua_State *L);

/* Pushes a chunk made of a Lua file (recipe or module). Throws recipe.syntax or usage.file. [-0,
 * +1, throws] */
void dr__sandbox_load(lua_State *L, const char *path);

/* Pushes a function of the prelude. [-0, +1, memory] */
void dr__prelude_push(lua_State *L, const char *name);

/* ---- recipe.c */

/* Runs the recipe's top level in run's state, unless that was done; leaves the recipe table on the
 * stack. Non-zero with err filled when it is wrong. [-0, +1, -] */
int dr__recipe_evaluate(dr_walk *run, dr_err *err);

/* Fills the runtime's name, summary and params from the recipe. */
int dr__recipe_describe(dr_runtime *rt, dr_err *err);

/* ---- run.c */

/* Makes a run that has not begun: its Lua state, its timers. NULL with err filled. */
dr_walk *dr__run_new(dr_runtime *rt, dr_err *err);
void dr__run_free(dr_walk *run);

/* Looks at how often dr_cancel() was called and acts on it. */
void dr__run_interrupt(dr_walk *run);

/* Writes a line to the run's journal, which is made, with its head, by the first line. Reference
 * taken over. */
int dr__run_journal(dr_walk *run, json_t *line, dr_err *err);

/* What was journalled is on the disk when this returns 0: actions may begin. */
int dr__run_begin_actions(dr_walk *run, dr_err *err);

/* Walks the loaded recipe and tells its plan. / Walks it, then runs it. Both tell RUN_STARTED …
 * RUN_FINISHED. */
int dr__run_plan(dr_runtime *rt, dr_err *err);
int dr__run_execute(dr_runtime *rt, dr_err *err);

#endif
