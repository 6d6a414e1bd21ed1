/* embedding.h - a small embedding program for tests: a recipe given as text, its events kept. It
 * uses deployrun.h alone, as any program would. */
#ifndef EMBEDDING_H
#define EMBEDDING_H

#include <deployrun.h>

typedef struct embedding {
  dr_options options; /* may be changed before the recipe is loaded */
  dr_runtime *rt;
  dr_err err;      /* of the last call */
  char folder[64]; /* of the recipe; removed at the end */
  char state[96];  /* of the journals; does not exist yet */
  char *events;    /* one JSON line each */
  size_t length;   /* of events */
  int deepest;     /* how many events were told while one was being told; must stay 1 */
  int telling;
  void (*on_event)(const dr_event *event, struct embedding *world); /* or NULL */
} embedding;

/* Test setup and teardown: *state is the embedding. */
int embedding_begin(void **state);
int embedding_end(void **state);

/* Writes a file into the folder. */
void embedding_write(const embedding *world, const char *name, const char *text);

/* Makes the runtime and loads a recipe whose whole text is given. Returns the status of dr_load().
 */
int embedding_load(embedding *world, const char *text);

/* Loads and runs a recipe with this body of its run function (p: the params; `here` is this
 * machine). Returns the status of dr_run(), or of dr_load() when that failed. */
int embedding_run(embedding *world, const char *body);

/* The same for a dry run. */
int embedding_plan(embedding *world, const char *body);

/* True when one of the event lines of this name contains the text. */
bool embedding_told(const embedding *world, const char *event, const char *text);

/* How many events of this name were told. */
int embedding_count(const embedding *world, const char *event);

/* All journals of the runs, one after the other; "" when there is none. malloc'd. */
char *embedding_journal(const embedding *world);

/* True when there is a file of this name in the recipe's folder. */
bool embedding_exists(const embedding *world, const char *name);

#endif
