/* backup_words.c - how pg_dump and pg_restore are told where a database is. Pure; called by
 * backup_job.c and by the previews of the ops, on the runtime's thread.
 */
#include "backup_job.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

/* What has no place on a command line, and what is said otherwise. */
static bool is_left_out(const char *keyword) {
  static const char *const names[] = {"password", "sslpassword", "application_name",
                                      "fallback_application_name", "dbname"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(keyword, names[i]) == 0) return true;
  return false;
}

/* keyword=value as libpq reads it, quoted where it must be. */
static void add_pair(dr_text *text, const char *keyword, const char *value) {
  if (text->length > 0) dr__text_puts(text, " ");
  dr__text_puts(text, keyword);
  dr__text_puts(text, "=");
  bool quoted = !*value || strpbrk(value, " \t\n'\\");
  if (quoted) dr__text_puts(text, "'");
  for (const char *at = value; *at; at++) {
    if (*at == '\'' || *at == '\\') dr__text_puts(text, "\\");
    dr__text_add(text, at, 1);
  }
  if (quoted) dr__text_puts(text, "'");
}

json_t *dr__backup_dbname(const json_t *keywords, const char *dbname) {
  dr_text text = {0};
  const char *keyword;
  json_t *value;
  if (!dbname) dbname = json_string_value(json_object_get(keywords, "dbname"));
  json_object_foreach((json_t *)keywords, keyword, value) {
    if (!is_left_out(keyword)) add_pair(&text, keyword, json_string_value(value));
  }
  if (dbname) add_pair(&text, "dbname", dbname);
  char *pairs = dr__text_take(&text);
  json_t *word = pairs ? json_sprintf("--dbname=%s", pairs) : NULL;
  free(pairs);
  return word;
}

bool dr__backup_tools_here(const dr_op *op) {
  const char *tools = dr__arg_string(op, "tools", "here");
  return !op->target || strcmp(tools, "target") != 0;
}
