/* postgres/hazard_accept.c - reads annotations that accept hazards. Pure, any thread. Called
 * by hazards.c. */
#include "postgres/hazard_accept.h"

#include "postgres/hazard_rules.h"
#include "postgres/tree.h"

#include <stdio.h>
#include <string.h>

#define HOW "write: -- deployrun: accept HAZARD: why it is fine"

typedef struct note {
  const char *at; /* what is left of it */
  const char *end;
  int line;
  json_t *hazards;
  json_t *accepted;
  json_t *problems;
  bool failed;
} note;

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(note *n) {
  while (n->at < n->end && is_blank(*n->at)) n->at++;
  while (n->end > n->at && is_blank(n->end[-1])) n->end--;
}

static bool take(note *n, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(n->end - n->at) < length || memcmp(n->at, word, length) != 0) return false;
  n->at += length;
  trim(n);
  return true;
}

static void problem(note *n, const char *format, int length, const char *text) {
  char message[300];
  snprintf(message, sizeof message, format, length < 60 ? length : 60, text);
  json_t *entry = json_pack("{s:i, s:s}", "line", n->line, "message", message);
  if (json_array_append_new(n->problems, entry) != 0) n->failed = true;
}

/* Without the comment's marks; false when it is no annotation. */
static bool begin(note *n, const dr_sql_script *script, const dr_sql_comment *comment) {
  n->at = script->text + comment->offset + 2;
  n->end = n->at + comment->length - 2;
  n->line = comment->line;
  if (n->at[-1] == '*' && n->end - n->at >= 2) n->end -= 2;
  trim(n);
  return take(n, "deployrun:");
}

static bool accept_in(note *n, const char *name, const char *reason, size_t length) {
  bool found = false;
  size_t i;
  json_t *hazard;
  json_array_foreach(n->hazards, i, hazard) {
    if (!dr__tree_is(hazard, "hazard", name)) continue;
    found = true;
    if (json_object_set_new(hazard, "accepted", json_stringn(reason, length)) != 0)
      n->failed = true;
  }
  return found;
}

static void accept_one(note *n, const char *at, size_t length, const char *reason) {
  char name[64];
  size_t reason_length = (size_t)(n->end - reason);
  snprintf(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), at);
  if (!dr__sql_is_rule(name)) {
    problem(n, "there is no hazard \"%.*s\"", (int)length, at);
  } else if (!accept_in(n, name, reason, reason_length)) {
    problem(n, "the statement has no hazard \"%.*s\" to be accepted", (int)length, at);
  } else {
    json_t *entry = json_pack("{s:s, s:s%, s:i}", "hazard", name, "reason", reason, reason_length,
                              "line", n->line);
    if (json_array_append_new(n->accepted, entry) != 0) n->failed = true;
  }
}

/* "name, name: reason" */
static void accept_all(note *n) {
  const char *colon = memchr(n->at, ':', (size_t)(n->end - n->at));
  const char *reason = colon ? colon + 1 : n->end;
  while (reason < n->end && is_blank(*reason)) reason++;
  if (reason == n->end) {
    problem(n, "no reason is given for accepting \"%.*s\"; " HOW, (int)(n->end - n->at), n->at);
    return;
  }
  for (const char *at = n->at; at < colon;) {
    const char *comma = memchr(at, ',', (size_t)(colon - at));
    const char *end = comma ? comma : colon;
    const char *next = comma ? comma + 1 : colon;
    while (at < end && is_blank(*at)) at++;
    while (end > at && is_blank(end[-1])) end--;
    accept_one(n, at, (size_t)(end - at), reason);
    at = next;
  }
}

bool dr__accept(const dr_sql_script *script, size_t index, json_t *hazards, json_t *accepted,
                json_t *problems) {
  const dr_sql_statement *statement = &script->statements[index];
  note n = {.hazards = hazards, .accepted = accepted, .problems = problems};
  for (size_t i = 0; i < statement->comment_count; i++) {
    if (!begin(&n, script, &script->comments[statement->comments + i])) continue;
    if (take(&n, "accept"))
      accept_all(&n);
    else
      problem(&n, "no annotation of deployrun: \"%.*s\"; " HOW, (int)(n.end - n.at), n.at);
  }
  return !n.failed;
}

bool dr__accept_leftover(const dr_sql_script *script, json_t *problems) {
  size_t first = 0;
  if (script->count > 0) {
    const dr_sql_statement *last = &script->statements[script->count - 1];
    first = last->comments + last->comment_count;
  }
  note n = {.problems = problems};
  for (size_t i = first; i < script->comment_count; i++) {
    if (begin(&n, script, &script->comments[i]))
      problem(&n, "no statement stands behind this annotation: \"%.*s\"", (int)(n.end - n.at),
              n.at);
  }
  return !n.failed;
}
