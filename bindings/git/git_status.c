/* git_status.c - the parser of git's machine-readable status, format 2 with zero bytes between
 * records. Called by git.c; no I/O, fuzzed. The format is described in git-status(1), "Porcelain
 * Format Version 2". */
#include "git_status.h"

#include <stdlib.h>
#include <string.h>

/* The records not yet read. */
typedef struct reader {
  const char *at;
  const char *end;
} reader;

/* The next record as a C string (a zero byte ends it), or NULL at the end. */
static const char *next_record(reader *r) {
  const char *record = r->at;
  const char *stop = record < r->end ? memchr(record, '\0', (size_t)(r->end - record)) : NULL;
  if (!stop) return NULL;
  r->at = stop + 1;
  return record;
}

/* What stands behind `count` spaces, or NULL when there are fewer. */
static const char *after_fields(const char *record, int count) {
  for (; record && count > 0; count--) {
    record = strchr(record, ' ');
    if (record) record++;
  }
  return record;
}

static int set_text(json_t *object, const char *key, const char *text) {
  return json_object_set_new(object, key, json_stringn_nocheck(text, strlen(text)));
}

/* "# branch.head main" and its like; unknown ones are for later versions of git and passed over. */
static int read_header(json_t *status, const char *record) {
  static const char oid[] = "# branch.oid ";
  static const char head[] = "# branch.head ";
  static const char upstream[] = "# branch.upstream ";
  static const char distance[] = "# branch.ab ";
  if (strncmp(record, oid, sizeof oid - 1) == 0 &&
      strcmp(record + sizeof oid - 1, "(initial)") != 0)
    return set_text(status, "head", record + sizeof oid - 1);
  if (strncmp(record, head, sizeof head - 1) == 0 &&
      strcmp(record + sizeof head - 1, "(detached)") != 0)
    return set_text(status, "branch", record + sizeof head - 1);
  if (strncmp(record, upstream, sizeof upstream - 1) == 0)
    return set_text(status, "upstream", record + sizeof upstream - 1);
  if (strncmp(record, distance, sizeof distance - 1) != 0) return 0;
  char *rest = NULL;
  long ahead = strtol(record + sizeof distance - 1, &rest, 10);
  long behind = labs(strtol(rest, NULL, 10));
  return json_object_set_new(status, "ahead", json_integer(ahead)) |
         json_object_set_new(status, "behind", json_integer(behind));
}

static json_t *new_change(const char *state, size_t length, const char *path, const char *from) {
  json_t *change = json_object();
  int failed = json_object_set_new(change, "state", json_stringn_nocheck(state, length));
  failed |= set_text(change, "path", path);
  if (from) failed |= set_text(change, "from", from);
  if (failed == 0) return change;
  json_decref(change);
  return NULL;
}

/* One changed, renamed, unmerged or unknown path. The number of fields before the path is the
 * format's. */
static json_t *read_change(reader *r, const char *record) {
  const char *path = NULL;
  const char *from = NULL;
  switch (record[0]) {
  case '1': path = after_fields(record, 8); break;
  case '2':
    path = after_fields(record, 9);
    from = next_record(r);
    if (!from) return NULL;
    break;
  case 'u': path = after_fields(record, 10); break;
  case '?':
  case '!':
    return record[1] == ' ' ? new_change(record[0] == '?' ? "??" : "!!", 2, record + 2, NULL)
                            : NULL;
  default: return NULL;
  }
  bool whole = path && record[1] == ' ' && strlen(record) > 4;
  return whole ? new_change(record + 2, 2, path, from) : NULL;
}

static json_t *read_records(reader *r) {
  json_t *status = json_pack("{s:b, s:[]}", "clean", 1, "changes");
  json_t *changes = json_object_get(status, "changes");
  int failed = status ? 0 : 1;
  for (const char *record; failed == 0 && (record = next_record(r));) {
    if (record[0] == '#')
      failed = read_header(status, record);
    else
      failed = json_array_append_new(changes, read_change(r, record));
  }
  if (failed == 0 && json_array_size(changes) > 0)
    failed = json_object_set_new(status, "clean", json_false());
  if (failed == 0 && r->at == r->end) return status;
  json_decref(status);
  return NULL;
}

json_t *dr__git_status_parse(const char *bytes, size_t length, dr_err *err) {
  reader r = {.at = bytes, .end = bytes + length};
  json_t *status = read_records(&r);
  if (!status) dr__fail(err, "git.output", "the output of git status could not be understood");
  return status;
}
