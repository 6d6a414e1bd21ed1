/* migrate_preview.c - see migrate_preview.h. Called by the gate through migrate.c. */
#include "migrate_preview.h"

#include "migrate_review.h"
#include "ops/op.h"
#include "postgres/hazards.h"
#include "postgres/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENT_SHOWN = 400, HASH_SHOWN = 12 };

static const char *text_of(const json_t *entry, const char *key) {
  const char *text = json_string_value(json_object_get(entry, key));
  return text ? text : "";
}

static bool is_true(const json_t *entry, const char *key) {
  return json_is_true(json_object_get(entry, key));
}

/* Puts so many bytes, blanks and line ends as spaces; *left is how much may still be shown. */
static void put_word(FILE *out, const char *bytes, size_t length, size_t *left) {
  for (size_t i = 0; i < length; i++) {
    bool inside = ((unsigned char)bytes[i] & 0xC0) == 0x80; /* a character is not cut */
    if (*left == 0 && !inside) return;
    fputc(isspace((unsigned char)bytes[i]) ? ' ' : bytes[i], out);
    *left -= *left > 0;
  }
}

/* A statement on one line, cut when it is long: the hash stands for the whole. Without its
 * comments: the end of one that ends with its line would not be seen. */
static void put_statement(FILE *out, const char *sql) {
  size_t length = strlen(sql), left = STATEMENT_SHOWN, shown = 0;
  dr_sql_tokens tokens = {0};
  dr_sql_mistake mistake;
  dr_err ignored = DR_ERR_INIT;
  if (dr__sql_scan(sql, length, &tokens, &mistake, &ignored) != DR_OK)
    put_word(out, sql, length, &left); /* only when memory is short: it was parsed before */
  for (size_t i = 0; i < tokens.count && left > 0; i++) {
    const dr_sql_token *token = &tokens.items[i];
    if (dr__sql_is_comment(sql, token)) continue;
    if (shown > 0 && shown < token->start) fputc(' ', out);
    put_word(out, sql + token->start, token->end - token->start, &left);
    shown = token->end;
  }
  if (left == 0) fputs(" …", out);
  free(tokens.items);
  dr_err_clear(&ignored);
}

static void put_relations(FILE *out, const json_t *on) {
  size_t i;
  const json_t *name;
  json_array_foreach(on, i, name)
    fprintf(out, "%s%s", i > 0 ? ", " : " on ", json_string_value(name));
}

/* "ACCESS EXCLUSIVE on tours, blocks reads, scans" */
static void put_lock(FILE *out, const json_t *statement) {
  const char *lock = text_of(statement, "lock");
  if (lock[0]) {
    fputs(lock, out);
    put_relations(out, json_object_get(statement, "on"));
    if (text_of(statement, "blocks")[0]) fprintf(out, ", blocks %s", text_of(statement, "blocks"));
  } else {
    fputs("no lock on what was there", out);
  }
  if (is_true(statement, "scan")) fputs(", scans the table", out);
  if (is_true(statement, "rewrite")) fputs(", rewrites the table", out);
  if (text_of(statement, "loses")[0]) fprintf(out, ", LOSES %s", text_of(statement, "loses"));
  if (strcmp(text_of(statement, "transaction"), "alone") == 0)
    fprintf(out, ", alone: %s", text_of(statement, "alone"));
}

static const char *accepted_reason(const json_t *statement, const char *hazard) {
  size_t i;
  const json_t *one;
  json_array_foreach(json_object_get(statement, "accepted"), i, one) {
    if (strcmp(text_of(one, "hazard"), hazard) == 0) return text_of(one, "reason");
  }
  return NULL;
}

static void put_hazards(FILE *out, const json_t *statement) {
  size_t i;
  const json_t *one;
  json_array_foreach(json_object_get(statement, "hazards"), i, one) {
    const char *accepted = accepted_reason(statement, text_of(one, "hazard"));
    fprintf(out, "\n      %s (%s): %s", text_of(one, "hazard"), text_of(one, "class"),
            text_of(one, "reason"));
    if (accepted) fprintf(out, " · accepted: %s", accepted);
  }
}

static void put_judged(FILE *out, const json_t *statement) {
  fprintf(out, "\n  :%d ", (int)json_integer_value(json_object_get(statement, "line")));
  put_statement(out, text_of(statement, "text"));
  if (is_true(statement, "skipped")) {
    fputs(text_of(statement, "control")[0] ? "" : "\n      was run before", out);
    return;
  }
  fprintf(out, "\n      %s · ", dr__migration_class(statement));
  put_lock(out, statement);
  put_hazards(out, statement);
}

/* A file is run once, and cut where a new enum value is used: that need not be advised. */
static bool is_advice(const json_t *lint) {
  const char *rule = text_of(lint, "rule");
  return strcmp(rule, "idempotent") != 0 && strcmp(rule, "enum-value") != 0;
}

static void put_file(FILE *out, const json_t *entry) {
  size_t i;
  const json_t *one;
  int count = (int)json_integer_value(json_object_get(entry, "count"));
  fprintf(out, "\n%s · %d statement%s · %s · sha256 %.*s…", text_of(entry, "file"), count,
          count == 1 ? "" : "s", text_of(entry, "class"), HASH_SHOWN, text_of(entry, "sha256"));
  if (json_integer_value(json_object_get(entry, "done")) > 0)
    fputs(" · goes on in the middle", out);
  json_array_foreach(json_object_get(entry, "statements"), i, one) put_judged(out, one);
  json_array_foreach(json_object_get(entry, "lint"), i, one) {
    if (!is_advice(one)) continue;
    fprintf(out, "\n  :%d advice: %s", (int)json_integer_value(json_object_get(one, "line")),
            text_of(one, "message"));
  }
}

static void put_versions(FILE *out, const json_t *versions, const char *what) {
  size_t i;
  const json_t *version;
  if (json_array_size(versions) == 0) return;
  fprintf(out, "\n%s", what);
  json_array_foreach(versions, i, version)
    fprintf(out, "%s%s", i > 0 ? ", " : " ", json_string_value(version));
}

/* Which are pending is not known: what there is, so that an edit in between is seen. */
static void put_unknown(FILE *out, const json_t *files) {
  size_t i;
  const json_t *entry;
  fputs("\nwhich of these are pending is known only then:", out);
  json_array_foreach(files, i, entry)
    fprintf(out, "\n%s sha256 %.*s…", text_of(entry, "up"), HASH_SHOWN, text_of(entry, "sha256"));
}

static void put_head(FILE *out, const json_t *args, size_t count) {
  bool down = strcmp(text_of(args, "direction"), "down") == 0;
  double lock = json_number_value(json_object_get(args, "lock_timeout"));
  const char *verb = down ? "take back" : "run";
  if (is_true(args, "unknown"))
    fprintf(out, "%s the migrations in %s", verb, text_of(args, "dir"));
  else if (count == 0)
    fprintf(out, "nothing to %s: the migrations in %s are %s", verb, text_of(args, "dir"),
            down ? "not applied" : "applied");
  else
    fprintf(out, "%s %zu migration%s in %s", verb, count, count == 1 ? "" : "s",
            text_of(args, "dir"));
  if (count > 0 || is_true(args, "unknown"))
    fprintf(out, " (a lock is waited for %g s, %d times)", lock,
            (int)json_integer_value(json_object_get(args, "lock_attempts")));
}

char *dr__migrate_preview(const json_t *args) {
  char *text = NULL;
  size_t size = 0, i;
  const json_t *run = json_object_get(args, "run"), *entry;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  put_head(out, args, json_array_size(run));
  put_versions(out, json_object_get(args, "baseline"), "marked as applied without running:");
  put_versions(out, json_object_get(args, "edited"), "recorded with the hash they have now:");
  json_array_foreach(run, i, entry) put_file(out, entry);
  if (is_true(args, "unknown")) put_unknown(out, json_object_get(args, "files"));
  bool bad = ferror(out) != 0;
  if (fclose(out) == 0 && !bad) return text;
  free(text);
  return NULL;
}

/* ------------------------------------------------------------ effects */

static unsigned effects_of(const json_t *statement) {
  unsigned effects = 0;
  const char *what = text_of(statement, "blocks");
  bool blocks = what[0] && strcmp(what, "schema") != 0;
  bool long_lock = blocks && (is_true(statement, "scan") || is_true(statement, "rewrite"));
  if (is_true(statement, "skipped")) return 0;
  if (text_of(statement, "loses")[0]) effects |= DR_DESTRUCTIVE | DR_IRREVERSIBLE;
  if (long_lock ||
      dr__sql_class_rank(text_of(statement, "class")) >= dr__sql_class_rank("breaking"))
    effects |= DR_DOWNTIME;
  return effects;
}

unsigned dr__migrate_effects(const json_t *args) {
  unsigned effects = 0;
  size_t i, j;
  const json_t *entry, *statement;
  const json_t *run = json_object_get(args, "run");
  json_array_foreach(run, i, entry) {
    json_array_foreach(json_object_get(entry, "statements"), j, statement)
      effects |= effects_of(statement);
  }
  return effects | DR_CHANGE;
}
