/* migrate_load.c - see migrate_load.h. Called on worker threads, by migrate_review.c and by the ops
 * that run migrations. */
#include "migrate_load.h"

#include "postgres/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------ reading */

static int fail_file(const dr_migration_file *file, int number, dr_err *err) {
  return dr__fail(err, number == ENOENT ? "fs.not_found" : "fs.failed", "%s: %s", file->path,
                  strerror(number));
}

/* The whole of an open file; *length bytes, malloc'd; NULL with errno. */
static char *read_open(int fd, size_t *length) {
  struct stat info;
  if (fstat(fd, &info) != 0) return NULL;
  errno = S_ISREG(info.st_mode) ? 0 : EISDIR;
  if (errno) return NULL;
  size_t room = (size_t)info.st_size + 1;
  char *text = malloc(room);
  if (!text) errno = ENOMEM;
  ssize_t got = 1;
  for (*length = 0; text && *length < room && got > 0; *length += got > 0 ? (size_t)got : 0) {
    do got = read(fd, text + *length, room - *length);
    while (got < 0 && errno == EINTR);
  }
  if (text && got >= 0 && *length < room) return text;
  if (text && got >= 0) errno = EAGAIN; /* it grows while it is read */
  free(text);
  return NULL;
}

static char *read_file(const dr_migration_file *file, size_t *length, dr_err *err) {
  int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  char *text = fd < 0 ? NULL : read_open(fd, length);
  if (!text && errno == ENOMEM)
    dr__err_nomem(err);
  else if (!text)
    fail_file(file, errno, err);
  if (fd >= 0) close(fd);
  return text;
}

/* Puts the file's path before what is wrong in it. */
static int explain(const dr_migration_file *file, dr_err *err) {
  char message[2 * sizeof err->message];
  snprintf(message, sizeof message, "%.900s: %s", file->path, err->message);
  if (strcmp(err->code, "out_of_memory") != 0)
    dr__copy_text(err->message, sizeof err->message, message);
  return DR_FAILED;
}

/* ------------------------------------------------------------ what it may not hold */

static int refuse(const dr_migration_file *file, size_t statement, const char *what,
                  const char *hint, dr_err *err) {
  dr__fail(err, "postgres.migration_file", "%s:%d: %s", file->path,
           file->script.statements[statement].line, what);
  dr__err_hint(err, "%s", hint);
  return DR_FAILED;
}

/* BEGIN … COMMIT around the whole is what is done anyway. */
static bool is_wrapped(const dr_sql_script *script) {
  return script->count >= 2 && script->statements[0].control == DR_SQL_BEGIN &&
         script->statements[script->count - 1].control == DR_SQL_COMMIT;
}

static int check_statement(const dr_migration_file *file, size_t i, dr_err *err) {
  const dr_sql_statement *statement = &file->script.statements[i];
  if (statement->control != DR_SQL_PLAIN && statement->control != DR_SQL_SAVEPOINT)
    return refuse(file, i, "a migration does not begin or end transactions itself",
                  "each file is one transaction, together with the record that it was applied",
                  err);
  if (statement->alone && file->first > 0)
    return refuse(file, i, "this cannot run inside the transaction that the file begins",
                  "leave out BEGIN and COMMIT: what needs no transaction is then run alone", err);
  return DR_OK;
}

/* The constant of a transaction's option: "serializable"; "" for none, and for a number. */
static const char *option_text(const json_t *options, const char *name, bool *on) {
  json_t *argument;
  if (!dr__tree_option(options, name, &argument)) return "";
  const json_t *constant = dr__tree_as(argument, "A_Const");
  *on = json_integer_value(json_object_get(json_object_get(constant, "ival"), "ival")) != 0;
  return dr__tree_text(json_object_get(constant, "sval"), "sval");
}

/* What the file's own BEGIN asks for is kept. A transaction that may not write cannot be recorded.
 */
static int read_begin(dr_migration_file *file, dr_err *err) {
  bool on = false, read_only = false;
  json_t *tree = dr__sql_tree(&file->script, 0, err);
  if (!tree) return explain(file, err);
  const json_t *options = dr__tree_array(dr__tree_as(tree, "TransactionStmt"), "options");
  const char *level = option_text(options, "transaction_isolation", &on);
  if (*level) snprintf(file->begin, sizeof file->begin, "BEGIN ISOLATION LEVEL %.40s", level);
  option_text(options, "transaction_read_only", &read_only);
  bool writes = dr__tree_option(options, "transaction_read_only", NULL) && !read_only;
  size_t used = strlen(file->begin);
  if (writes)
    snprintf(file->begin + used, sizeof file->begin - used, "%s READ WRITE", used ? "" : "BEGIN");
  json_decref(tree);
  if (!read_only) return DR_OK;
  return refuse(file, 0, "a transaction that is READ ONLY cannot be recorded as applied",
                "leave READ ONLY out", err);
}

static int check(dr_migration_file *file, dr_err *err) {
  bool wrapped = is_wrapped(&file->script);
  file->first = wrapped ? 1 : 0;
  file->end = file->script.count - (wrapped ? 1 : 0);
  if (file->first >= file->end) {
    dr__fail(err, "postgres.migration_file", "%s: there is no statement in it", file->path);
    dr__err_hint(err, "write it, or remove the file");
    return DR_FAILED;
  }
  if (file->end - file->first > DR_MIGRATION_STATEMENTS) {
    dr__fail(err, "postgres.too_large", "%s has %zu statements; at most %d can be reviewed",
             file->path, file->end - file->first, DR_MIGRATION_STATEMENTS);
    dr__err_hint(err, "put many rows into one INSERT … VALUES (…), (…), or use several files");
    return DR_FAILED;
  }
  for (size_t i = file->first; i < file->end; i++)
    if (check_statement(file, i, err) != DR_OK) return DR_FAILED;
  return wrapped ? read_begin(file, err) : DR_OK;
}

/* ------------------------------------------------------------ steps */

/* "public"."tours_name": an SQL name of its parts, the first may be NULL; malloc'd. */
static char *sql_name(const char *schema, const char *name) {
  size_t room = 8 + 2 * (strlen(name) + (schema ? strlen(schema) : 0));
  char *out = malloc(room), *at = out;
  const char *parts[] = {schema, name};
  for (size_t i = 0; out && i < 2; i++) {
    if (!parts[i]) continue;
    if (at > out) *at++ = '.';
    *at++ = '"';
    for (const char *c = parts[i]; *c; c++) {
      if (*c == '"') *at++ = '"';
      *at++ = *c;
    }
    *at++ = '"';
  }
  if (out) *at = '\0';
  return out;
}

static const char *text_in(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

/* An index has the schema of its table. */
static int take_index(const dr_migration_file *file, dr_migration_step *step, const json_t *tree,
                      dr_err *err) {
  const json_t *index = json_object_get(tree, "IndexStmt");
  const char *name = text_in(index, "idxname");
  if (!name)
    return refuse(file, step->first, "an index that is built concurrently needs a name here",
                  "CREATE INDEX CONCURRENTLY name ON …: a build that was cut off is found by it",
                  err);
  step->kind = DR_STEP_INDEX;
  step->index = sql_name(text_in(json_object_get(index, "relation"), "schemaname"), name);
  return step->index ? DR_OK : dr__err_nomem(err);
}

/* What stands alone is run so, except an enum's new value: it only has to be committed before it is
 * used, so it is a transaction of its own with its record. */
static int judge_alone(const dr_migration_file *file, dr_migration_step *step, dr_err *err) {
  json_t *tree = dr__sql_tree(&file->script, step->first, err);
  if (!tree) return explain(file, err);
  int status = DR_OK;
  if (json_object_get(tree, "DiscardStmt"))
    status = refuse(file, step->first, "DISCARD ALL would give up the lock that migrations hold",
                    "each file begins with the settings of a new session anyway", err);
  bool block = json_object_get(tree, "DoStmt") || json_object_get(tree, "CallStmt");
  bool value = json_object_get(tree, "AlterEnumStmt") != NULL;
  step->kind = value ? DR_STEP_TOGETHER : block ? DR_STEP_BLOCK : DR_STEP_ALONE;
  if (json_object_get(tree, "IndexStmt")) status = take_index(file, step, tree, err);
  json_decref(tree);
  return status;
}

static bool is_temporary(const char *kind, json_t *fields, void *data) {
  (void)kind;
  (void)data;
  return dr__tree_is(fields, "relpersistence", "t") || dr__tree_is(fields, "schemaname", "pg_temp");
}

static const char *constant_text(const json_t *array, size_t i) {
  const json_t *constant = dr__tree_as(json_array_get(array, i), "A_Const");
  return dr__tree_text(json_object_get(constant, "sval"), "sval");
}

/* What SET, RESET or set_config() changes: its name, "" when that is computed, and its new value as
 * a text, "" when it is none. NULL for other nodes. */
static const char *setting_of(const char *kind, const json_t *fields, const char **value) {
  if (strcmp(kind, "VariableSetStmt") == 0) {
    *value = constant_text(dr__tree_array(fields, "args"), 0);
    return dr__tree_text(fields, "name");
  }
  const json_t *names = dr__tree_array(fields, "funcname"), *args = dr__tree_array(fields, "args");
  if (strcmp(kind, "FuncCall") != 0 || strcmp(dr__tree_last(names), "set_config") != 0) return NULL;
  *value = constant_text(args, 1);
  return constant_text(args, 0);
}

static bool is_setting(const char *kind, json_t *fields, void *data) {
  const char *value;
  (void)data;
  return setting_of(kind, fields, &value) != NULL;
}

static bool is_lock_timeout(const char *kind, json_t *fields, void *data) {
  const char *value, *name = setting_of(kind, fields, &value);
  (void)data;
  return name && (!name[0] || strcasecmp(name, "lock_timeout") == 0);
}

static bool is_other_strings(const char *kind, json_t *fields, void *data) {
  const char *value, *name = setting_of(kind, fields, &value);
  (void)data;
  return name && strcasecmp(name, "standard_conforming_strings") == 0 &&
         strcasecmp(value, "on") != 0;
}

/* The first statement before number `end` that has such a node; `end` when there is none. */
static size_t find(const dr_migration_file *file, size_t end, dr_tree_test test) {
  size_t i = file->first;
  for (bool found = false; i < end && !found; i += !found) {
    json_t *tree = dr__sql_tree(&file->script, i, NULL);
    found = dr__tree_any(tree, test, NULL);
    json_decref(tree);
  }
  return i;
}

/* Each step begins with the settings of a new session, whether it is run behind the one before or
 * by a later run that goes on there: else a name would mean one table now and another then. */
static int check_session(const dr_migration_file *file, dr_err *err) {
  if (file->step_count < 2) return DR_OK;
  size_t last = file->steps[file->step_count - 1].first;
  size_t temporary = find(file, last, is_temporary), set = find(file, last, is_setting);
  if (temporary < last)
    return refuse(file, temporary,
                  "a temporary table does not last up to a statement below that runs in a "
                  "transaction of its own",
                  "put what uses the temporary table into a file of its own", err);
  if (set == last) return DR_OK;
  return refuse(file, set,
                "a setting does not last up to a statement below that runs in a transaction of "
                "its own",
                "write names there with their schema, or put what needs the setting into a file "
                "of its own; lock_timeout and statement_timeout are options of :migrate",
                err);
}

/* A file that mentions neither is spared its trees. */
static int check_settings(dr_migration_file *file, dr_err *err) {
  const char *text = file->script.text;
  size_t end = file->end, strings = end;
  file->own_lock_timeout =
      strcasestr(text, "lock_timeout") && find(file, end, is_lock_timeout) < end;
  if (strcasestr(text, "conforming_strings")) strings = find(file, end, is_other_strings);
  if (strings == end) return DR_OK;
  return refuse(file, strings, "this changes what the texts below it mean",
                "they are read, and were reviewed, with standard_conforming_strings = on", err);
}

static int cut(dr_migration_file *file, dr_err *err) {
  bool open = false; /* the last step takes more statements */
  file->steps = calloc(file->end - file->first, sizeof *file->steps);
  if (!file->steps) return dr__err_nomem(err);
  for (size_t i = file->first; i < file->end; i++) {
    bool alone = file->script.statements[i].alone != NULL;
    if (open && !alone) {
      file->steps[file->step_count - 1].count++;
      continue;
    }
    dr_migration_step *step = &file->steps[file->step_count++];
    step->first = i;
    step->count = 1;
    open = !alone;
    if (alone && judge_alone(file, step, err) != DR_OK) return DR_FAILED;
  }
  int status = check_session(file, err);
  return status == DR_OK ? check_settings(file, err) : status;
}

/* ------------------------------------------------------------ the whole */

int dr__migration_load(dr_migration_file *out, const char *folder, const char *file, dr_err *err) {
  size_t length = 0;
  memset(out, 0, sizeof *out);
  if (!dr__migration_name_parse(file, &out->name))
    return dr__fail(err, "postgres.migration_file", "%s is no name of a migration", file);
  if (asprintf(&out->path, "%s/%s", folder, file) < 0) {
    out->path = NULL;
    return dr__err_nomem(err);
  }
  char *text = read_file(out, &length, err);
  if (!text) return DR_FAILED;
  int status = dr__sql_split(text, length, &out->script, err);
  free(text);
  if (status != DR_OK) return explain(out, err);
  status = check(out, err);
  return status == DR_OK ? cut(out, err) : status;
}

void dr__migration_free(dr_migration_file *file) {
  for (size_t i = 0; i < file->step_count; i++) free(file->steps[i].index);
  free(file->steps);
  free(file->path);
  dr__sql_script_free(&file->script);
  memset(file, 0, sizeof *file);
}

void dr__migration_files_free(dr_migration_files *files) {
  for (size_t i = 0; i < files->count; i++) dr__migration_free(&files->list[i]);
  free(files->list);
  memset(files, 0, sizeof *files);
}

int dr__migration_prefix(const dr_migration_file *file, size_t end, char hash[DR_SQL_HASH_SIZE],
                         dr_err *err) {
  size_t bytes = 0;
  if (end > 0 && end <= file->script.count) {
    const dr_sql_statement *last = &file->script.statements[end - 1];
    bytes = last->offset + last->length;
  }
  return dr__sql_hash(file->script.text, bytes, hash, err);
}

int dr__migration_begun(const dr_migration_file *file, const json_t *row, dr_err *err) {
  const char *prefix = text_in(row, "prefix");
  const json_t *running = json_object_get(row, "running");
  const char *way = text_in(row, "direction");
  char hash[DR_SQL_HASH_SIZE];
  if (!prefix || !way || (strcmp(way, "down") == 0) != (file->name.direction == DR_DOWN)) return 2;
  json_int_t end = json_is_integer(running) ? json_integer_value(running) + 1
                                            : json_integer_value(json_object_get(row, "done"));
  if (end < 0 || (size_t)end > file->script.count) return 0;
  if (dr__migration_prefix(file, (size_t)end, hash, err) != DR_OK) return -1;
  return strcmp(hash, prefix) == 0;
}
