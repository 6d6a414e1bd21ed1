/* migrate_plan.c - see migrate_plan.h. Called by migrate_review.c on a worker thread and by
 * migrate_run.c under the lock, where it is asked once more. */
#include "migrate_plan.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key) {
  const char *text = json_string_value(json_object_get(entry, key));
  return text ? text : "";
}

static json_int_t number_of(const json_t *entry, const char *key) {
  return json_integer_value(json_object_get(entry, key));
}

json_t *dr__migration_find(const json_t *list, const char *version) {
  size_t low = 0, high = json_array_size(list);
  size_t i;
  json_t *entry;
  while (low < high) { /* files come in order */
    size_t middle = low + (high - low) / 2;
    entry = json_array_get(list, middle);
    int order = dr__version_compare(text_of(entry, "version"), version);
    if (order == 0) return entry;
    if (order < 0) low = middle + 1;
    if (order > 0) high = middle;
  }
  json_array_foreach(list, i, entry) {
    if (dr__version_compare(text_of(entry, "version"), version) == 0) return entry;
  }
  return NULL;
}

bool dr__version_in(const json_t *versions, const char *version) {
  size_t i;
  const json_t *one;
  json_array_foreach(versions, i, one) {
    const char *text = json_string_value(one);
    if (text && dr__version_compare(text, version) == 0) return true;
  }
  return false;
}

/* ------------------------------------------------------------ comparing */

static int by_version(const void *one, const void *other) {
  return dr__version_compare(text_of(*(json_t *const *)one, "version"),
                             text_of(*(json_t *const *)other, "version"));
}

/* The rows in order; new reference, NULL when memory is short. */
static json_t *in_order(const json_t *rows) {
  size_t count = json_array_size(rows);
  json_t **sorted = calloc(count + 1, sizeof(void *));
  json_t *list = sorted ? json_array() : NULL;
  int failed = list ? 0 : -1;
  for (size_t i = 0; !failed && i < count; i++) sorted[i] = json_array_get(rows, i);
  if (!failed) qsort(sorted, count, sizeof(void *), by_version);
  for (size_t i = 0; !failed && i < count; i++) failed = json_array_append(list, sorted[i]);
  free(sorted);
  if (!failed) return list;
  json_decref(list);
  return NULL;
}

static bool is_half(const json_t *row) {
  return number_of(row, "done") < number_of(row, "statements") ||
         strcmp(text_of(row, "direction"), "down") == 0;
}

/* Of a half-applied file only the statements that were run must be as they were. */
static bool is_edited(const json_t *row, const json_t *file) {
  if (is_half(row)) return json_is_false(json_object_get(file, "begun"));
  return strcmp(text_of(row, "sha256"), text_of(file, "sha256")) != 0;
}

static int put(json_t *facts, const char *key, const json_t *entry) {
  return json_array_append(json_object_get(facts, key), json_object_get(entry, "version"));
}

static int note_row(json_t *facts, const json_t *row, const json_t *file) {
  bool down = strcmp(text_of(row, "direction"), "down") == 0;
  int failed = 0;
  if (!file) failed |= put(facts, "missing", row);
  if (file && is_edited(row, file)) failed |= put(facts, "edited", file);
  if (is_half(row)) return failed | put(facts, down ? "half_down" : "half", row);
  return failed | put(facts, "applied", row);
}

/* The last version that is applied whole; "" for none. */
static const char *last_applied(const json_t *rows) {
  const char *last = "";
  size_t i;
  const json_t *row;
  json_array_foreach(rows, i, row) {
    if (!is_half(row)) last = text_of(row, "version");
  }
  return last;
}

static int note_file(json_t *facts, const json_t *file, const json_t *row, const char *last) {
  if (row && !is_half(row)) return 0;
  bool late = !row && last[0] && dr__version_compare(text_of(file, "version"), last) < 0;
  int failed = put(facts, "pending", file);
  return late ? failed | put(facts, "out_of_order", file) : failed;
}

json_t *dr__migrations_compare(const json_t *files, const json_t *applied) {
  json_t *rows = in_order(applied), *entry;
  json_t *facts = json_pack("{s:[], s:[], s:[], s:[], s:[], s:[], s:[]}", "applied", "pending",
                            "half", "half_down", "edited", "missing", "out_of_order");
  int failed = rows && facts ? 0 : -1;
  size_t i;
  json_array_foreach(rows, i, entry) {
    if (!failed)
      failed = note_row(facts, entry, dr__migration_find(files, text_of(entry, "version")));
  }
  const char *last = last_applied(rows);
  json_array_foreach(files, i, entry) {
    if (!failed)
      failed = note_file(facts, entry, dr__migration_find(rows, text_of(entry, "version")), last);
  }
  json_decref(rows);
  if (!failed) return facts;
  json_decref(facts);
  return NULL;
}

/* ------------------------------------------------------------ refusing */

enum { NAMES_MAX = 900 };

static void append(char *text, size_t size, const char *more) {
  size_t length = strlen(text);
  if (length + strlen(more) < size) memcpy(text + length, more, strlen(more) + 1);
}

/* `0003_phone, 0004_mail`, or as a list in Lua: `{ "0003", "0004" }`. */
static void write_names(char text[NAMES_MAX], const json_t *versions, const json_t *named,
                        bool as_lua) {
  size_t i;
  const json_t *version;
  text[0] = '\0';
  json_array_foreach(versions, i, version) {
    const char *digits = json_string_value(version);
    append(text, NAMES_MAX, i > 0 ? ", " : "");
    append(text, NAMES_MAX, as_lua ? "\"" : "");
    append(text, NAMES_MAX, digits);
    if (!as_lua) append(text, NAMES_MAX, "_");
    append(text, NAMES_MAX, as_lua ? "\"" : text_of(dr__migration_find(named, digits), "name"));
  }
}

typedef struct refusal {
  const char *fact;
  const char *option; /* that lets a version pass */
  const char *code;
  const char *message;
  const char *hint;
} refusal;

static const refusal refusals[] = {
    {"edited", "accept_edited", "postgres.migration_edited",
     "applied migrations were edited afterwards: %s",
     "put the file back as it was and write a new migration"},
    {"missing", "accept_missing", "postgres.migration_missing",
     "applied migrations have no file: %s",
     "is this the right folder, and the right commit? Put the file back"},
    {"out_of_order", "accept_out_of_order", "postgres.migration_out_of_order",
     "a later migration is applied already than: %s", "give it a version behind the last one"},
};

/* The versions of a fact that are not let pass; new reference, NULL when memory is short. */
static json_t *refused_of(const json_t *facts, const refusal *rule, const json_t *options) {
  json_t *left = json_array(), *version;
  size_t i;
  json_array_foreach(json_object_get(facts, rule->fact), i, version) {
    bool passes =
        dr__version_in(json_object_get(options, rule->option), json_string_value(version));
    if (!passes && json_array_append(left, version) != 0) {
      json_decref(left);
      return NULL;
    }
  }
  return left;
}

static int refuse(const json_t *facts, const refusal *rule, const json_t *options,
                  const json_t *named, dr_err *err) {
  char names[NAMES_MAX];
  json_t *left = refused_of(facts, rule, options);
  size_t count = json_array_size(left);
  if (!left) return dr__err_nomem(err);
  if (count > 0) {
    write_names(names, left, named, false);
    dr__fail(err, rule->code, rule->message, names); /* NOLINT: a literal of the table above */
    write_names(names, left, NULL, true);
    dr__err_hint(err, "%s; or accept it: %s = { %s }", rule->hint, rule->option, names);
  }
  json_decref(left);
  return count > 0 ? DR_FAILED : DR_OK;
}

/* The rules that concern this direction, by how many of the table. */
static int refuse_all(const json_t *facts, size_t rules, const json_t *options, const json_t *files,
                      const json_t *applied, dr_err *err) {
  int status = DR_OK;
  for (size_t i = 0; i < rules && status == DR_OK; i++)
    status = refuse(facts, &refusals[i], options,
                    strcmp(refusals[i].fact, "missing") == 0 ? applied : files, err);
  return status;
}

static int refuse_half(const json_t *facts, const char *fact, const json_t *named, const char *what,
                       const char *hint, dr_err *err) {
  char names[NAMES_MAX];
  const json_t *half = json_object_get(facts, fact);
  if (json_array_size(half) == 0) return DR_OK;
  write_names(names, half, named, false);
  dr__fail(err, "postgres.migration_half", "a run that %s did not end: %s", what, names);
  dr__err_hint(err, "%s", hint);
  return DR_FAILED;
}

/* True when the option is absent or names one of the files. */
static int check_version(const json_t *files, const json_t *options, const char *key, dr_err *err) {
  const char *version = json_string_value(json_object_get(options, key));
  const char *last = text_of(json_array_get(files, json_array_size(files) - 1), "version");
  bool number = version && version[0] && version[strspn(version, "0123456789")] == '\0';
  if (!version || (number && dr__migration_find(files, version))) return DR_OK;
  dr__fail(err, "postgres.migration_unknown",
           "%.*s = \"%s\": there is no migration of this version", (int)strcspn(key, "_"), key,
           version);
  dr__err_hint(err, "a version is the number that a file begins with; the last is \"%s\"", last);
  return DR_FAILED;
}

/* ------------------------------------------------------------ up */

static int upto(const json_t *from, json_t *to, const char *limit) {
  size_t i;
  json_t *version;
  json_array_foreach(from, i, version) {
    if (limit && dr__version_compare(json_string_value(version), limit) > 0) break;
    if (json_array_append(to, version) != 0) return -1;
  }
  return 0;
}

/* Baseline is for a table that knows nothing yet; one that knows all of it was baselined before. */
static int check_baseline(const json_t *facts, const json_t *applied, const char *baseline,
                          dr_err *err) {
  const char *first = json_string_value(json_array_get(json_object_get(facts, "pending"), 0));
  bool done = !first || dr__version_compare(first, baseline) > 0;
  if (json_array_size(applied) == 0 || done) return DR_OK;
  dr__fail(err, "postgres.migration_baseline",
           "baseline = \"%s\": the database knows of migrations already, but not of %s", baseline,
           first);
  dr__err_hint(err, "a baseline is for a database that was never migrated by deployrun");
  return DR_FAILED;
}

/* Moves what the baseline covers from `run` to `baseline`. */
static int split_baseline(json_t *plan, const char *baseline) {
  json_t *run = json_object_get(plan, "run"), *version;
  while ((version = json_array_get(run, 0)) &&
         dr__version_compare(json_string_value(version), baseline) <= 0) {
    if (json_array_append(json_object_get(plan, "baseline"), version) != 0) return -1;
    json_array_remove(run, 0);
  }
  return 0;
}

static json_t *list_up(const json_t *facts, const json_t *options) {
  const char *to = json_string_value(json_object_get(options, "to"));
  const char *baseline = json_string_value(json_object_get(options, "baseline_to"));
  json_t *plan = json_pack("{s:[], s:[], s:[]}", "run", "baseline", "edited");
  int failed =
      plan ? upto(json_object_get(facts, "pending"), json_object_get(plan, "run"), to) : -1;
  if (!failed)
    failed = upto(json_object_get(facts, "edited"), json_object_get(plan, "edited"), NULL);
  if (!failed && baseline) failed = split_baseline(plan, baseline);
  if (!failed) return plan;
  json_decref(plan);
  return NULL;
}

static int check_up(const json_t *files, const json_t *applied, const json_t *facts,
                    const json_t *options, dr_err *err) {
  const char *baseline = json_string_value(json_object_get(options, "baseline_to"));
  int status = check_version(files, options, "to", err);
  if (status == DR_OK) status = check_version(files, options, "baseline_to", err);
  if (status == DR_OK)
    status = refuse_half(facts, "half_down", applied, "took migrations back",
                         "go on with it by migrate_down first", err);
  if (status == DR_OK && baseline) status = check_baseline(facts, applied, baseline, err);
  if (status == DR_OK)
    status = refuse_all(facts, sizeof refusals / sizeof *refusals, options, files, applied, err);
  return status;
}

json_t *dr__migrations_up(const json_t *files, const json_t *applied, const json_t *options,
                          dr_err *err) {
  json_t *facts = dr__migrations_compare(files, applied), *plan = NULL;
  int status = facts ? check_up(files, applied, facts, options, err) : dr__err_nomem(err);
  if (status == DR_OK) plan = list_up(facts, options);
  if (status == DR_OK && !plan) dr__err_nomem(err);
  json_decref(facts);
  return plan;
}

/* ------------------------------------------------------------ down */

static int check_down(const json_t *files, const json_t *applied, const json_t *facts,
                      const json_t *options, dr_err *err) {
  const char *to = json_string_value(json_object_get(options, "to"));
  int status = to && strcmp(to, "0") == 0 ? DR_OK : check_version(files, options, "to", err);
  if (status == DR_OK)
    status = refuse_half(facts, "half", applied, "migrated", "go on with it by migrate first", err);
  if (status == DR_OK) status = refuse_all(facts, 2, options, files, applied, err);
  return status;
}

/* What is applied, newest first, down to but without `to`, at most `steps` of them. */
static json_t *list_down(const json_t *applied, const char *to, json_int_t steps) {
  json_t *rows = in_order(applied), *run = json_array();
  int failed = rows && run ? 0 : -1;
  for (size_t i = json_array_size(rows); i > 0 && steps > 0 && !failed; i--, steps--) {
    const json_t *row = json_array_get(rows, i - 1);
    if (to && dr__version_compare(text_of(row, "version"), to) <= 0) break;
    failed = json_array_append(run, json_object_get(row, "version"));
  }
  json_decref(rows);
  if (!failed) return run;
  json_decref(run);
  return NULL;
}

static int check_down_files(const json_t *files, const json_t *run, dr_err *err) {
  size_t i;
  const json_t *version;
  json_array_foreach(run, i, version) {
    const json_t *file = dr__migration_find(files, json_string_value(version));
    if (file && json_object_get(file, "down")) continue;
    dr__fail(err, "postgres.migration_no_down", "%s%s%s cannot be taken back: it has no .down.sql",
             json_string_value(version), file ? "_" : "", text_of(file, "name"));
    dr__err_hint(err, "nothing was changed; write the file, or take back only what is above it");
    return DR_FAILED;
  }
  return DR_OK;
}

json_t *dr__migrations_down(const json_t *files, const json_t *applied, const json_t *options,
                            dr_err *err) {
  const char *to = json_string_value(json_object_get(options, "to"));
  const json_t *steps = json_object_get(options, "steps");
  json_t *facts = dr__migrations_compare(files, applied), *run = NULL, *plan = NULL;
  int status = facts ? check_down(files, applied, facts, options, err) : dr__err_nomem(err);
  if (status == DR_OK) {
    run = list_down(applied, to, steps ? json_integer_value(steps) : INT32_MAX);
    status = run ? check_down_files(files, run, err) : dr__err_nomem(err);
  }
  if (status == DR_OK && !(plan = json_pack("{s:O}", "run", run))) dr__err_nomem(err);
  json_decref(run);
  json_decref(facts);
  return plan;
}
