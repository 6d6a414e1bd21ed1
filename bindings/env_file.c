/* env_file.c - reads and writes env files in three dialects. Pure, any thread; the header says what
 * the dialects are. Called by env_file_op.c; reading is fuzzed. */
#include "env_file.h"

#include "core/err.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ names */

bool dr__env_dialect_of(dr_env_dialect *out, const char *name) {
  static const char *const names[] = {"compose", "systemd", "docker"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    *out = (dr_env_dialect)i;
    return true;
  }
  return false;
}

static bool is_name_char(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (!first && c >= '0' && c <= '9');
}

static size_t name_length(const char *text, const char *end) {
  size_t length = 0;
  while (text + length < end && is_name_char(text[length], length == 0)) length++;
  return length;
}

bool dr__env_file_is_secret(const char *name, const char *value) {
  static const char *const words[] = {"PASSWORD", "PASSWD",  "PASSPHRASE", "SECRET", "TOKEN",
                                      "KEY",      "PRIVATE", "CREDENTIAL", "DSN",    "WEBHOOK"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (strcasestr(name, words[i])) return true;
  }
  const char *authority = strstr(value, "://");
  if (!authority) return false;
  authority += 3;
  const char *at = memchr(authority, '@', strcspn(authority, "/?# \t\n"));
  return at && memchr(authority, ':', (size_t)(at - authority));
}

/* ------------------------------------------------------------ reading */

typedef struct reader {
  const char *at;
  const char *end;
  int line;
  json_t *variables;
  dr_err *err;
} reader;

static bool at_end(const reader *r) {
  return r->at >= r->end;
}

static char take(reader *r) {
  char c = *r->at++;
  if (c == '\n') r->line++;
  return c;
}

static void skip_blanks(reader *r) {
  while (!at_end(r) && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static void skip_line(reader *r) {
  while (!at_end(r) && take(r) != '\n') {
  }
}

static int wrong(reader *r, int line, const char *why) {
  return dr__fail(r->err, "env_file.syntax", "line %d: %s", line, why);
}

/* What an earlier line gave the name; NULL when none did. */
static const char *known(const reader *r, const char *name, size_t length) {
  for (size_t i = json_array_size(r->variables); i-- > 0;) {
    json_t *entry = json_array_get(r->variables, i);
    const char *other = json_string_value(json_object_get(entry, "name"));
    if (strlen(other) == length && memcmp(other, name, length) == 0) {
      return json_string_value(json_object_get(entry, "value"));
    }
  }
  return NULL;
}

/* "${NAME}", "${NAME:-other}", "${NAME-other}" or "$NAME" at r->at, which stands behind the '$'. A
 * name that no line above gave is empty: what the environment of compose holds is not known here.
 */
static void substitute(reader *r, const char *limit, dr_text *out) {
  bool braced = r->at < limit && *r->at == '{';
  const char *name = r->at + (braced ? 1 : 0);
  size_t length = name_length(name, limit);
  const char *after = name + length;
  const char *close = braced ? memchr(after, '}', (size_t)(limit - after)) : after;
  if (length == 0 || !close) {
    dr__text_puts(out, "$");
    return;
  }
  const char *value = known(r, name, length);
  bool strict = after < close && *after == ':';
  const char *other = after + (strict ? 1 : 0);
  bool missing = !value || (strict && !*value);
  if (braced && other < close && *other == '-' && missing) {
    dr__text_add(out, other + 1, (size_t)(close - other - 1));
  } else if (value) {
    dr__text_puts(out, value);
  }
  r->at = close + (braced ? 1 : 0);
}

/* Up to " #" or the line's end, without blanks at either end. */
static void read_plain_compose(reader *r, dr_text *out) {
  const char *end = r->at;
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  if (!stop) stop = r->end;
  for (const char *c = r->at; c < stop; c++) {
    bool comment = *c == '#' && (c == r->at || c[-1] == ' ' || c[-1] == '\t');
    if (comment) break;
    if (*c != ' ' && *c != '\t' && *c != '\r') end = c + 1;
  }
  while (r->at < end) {
    char c = *r->at++;
    if (c == '$' && r->at < end && *r->at == '$') {
      r->at++;
      dr__text_puts(out, "$");
    } else if (c == '$') {
      substitute(r, end, out);
    } else {
      dr__text_add(out, &c, 1);
    }
  }
  r->at = stop;
}

static void add_escaped(char c, dr_text *out) {
  static const char letters[] = "nrtabfv";
  static const char meant[] = "\n\r\t\a\b\f\v";
  const char *found = memchr(letters, c, sizeof letters - 1);
  if (found) {
    dr__text_add(out, &meant[found - letters], 1);
    return;
  }
  if (c != '"' && c != '\\' && c != '$' && c != '\'') dr__text_puts(out, "\\");
  dr__text_add(out, &c, 1);
}

static int read_double_compose(reader *r, int line, dr_text *out) {
  const char *limit = r->at;
  while (limit < r->end && *limit != '"') limit += *limit == '\\' && limit + 1 < r->end ? 2 : 1;
  if (limit >= r->end) return wrong(r, line, "the quote \" is not closed");
  while (r->at < limit) {
    char c = take(r);
    if (c == '\\' && r->at < limit)
      add_escaped(take(r), out);
    else if (c == '$' && r->at < limit && *r->at == '$') {
      r->at++;
      dr__text_puts(out, "$");
    } else if (c == '$')
      substitute(r, limit, out);
    else
      dr__text_add(out, &c, 1);
  }
  r->at = limit + 1;
  return DR_OK;
}

static int read_single(reader *r, int line, dr_text *out) {
  const char *close = memchr(r->at, '\'', (size_t)(r->end - r->at));
  if (!close) return wrong(r, line, "the quote ' is not closed");
  while (r->at < close) {
    char c = take(r);
    dr__text_add(out, &c, 1);
  }
  r->at = close + 1;
  return DR_OK;
}

/* Behind a closing quote only blanks and a comment may stand. */
static int end_of_quoted(reader *r, int line) {
  skip_blanks(r);
  if (!at_end(r) && *r->at != '\n' && *r->at != '#')
    return wrong(r, line, "something stands behind the closing quote");
  return DR_OK;
}

static int read_compose(reader *r, dr_text *out) {
  int line = r->line;
  skip_blanks(r);
  char quote = at_end(r) ? '\0' : *r->at;
  if (quote != '\'' && quote != '"') {
    if (quote) read_plain_compose(r, out);
    return DR_OK;
  }
  r->at++;
  int status = quote == '"' ? read_double_compose(r, line, out) : read_single(r, line, out);
  return status == DR_OK ? end_of_quoted(r, line) : status;
}

static int read_double_systemd(reader *r, int line, dr_text *out) {
  while (!at_end(r)) {
    char c = take(r);
    if (c == '"') return DR_OK;
    if (c != '\\' || at_end(r)) {
      dr__text_add(out, &c, 1);
      continue;
    }
    c = take(r);
    if (c == '\n') continue;
    if (!strchr("\"\\`$", c) || !c) dr__text_puts(out, "\\");
    dr__text_add(out, &c, 1);
  }
  return wrong(r, line, "the quote \" is not closed");
}

/* The plain part of a value, to the line's end; quotes in it are letters. Blanks at the end do not
 * count unless a \\ stands before them. */
static void read_plain_systemd(reader *r, dr_text *out) {
  size_t solid = out->length;
  while (!at_end(r) && *r->at != '\n') {
    char c = take(r);
    bool escaped = c == '\\' && !at_end(r);
    if (escaped) c = take(r);
    if (!escaped || c != '\n') dr__text_add(out, &c, 1);
    if (escaped || (c != ' ' && c != '\t' && c != '\r')) solid = out->length;
  }
  if (!out->bytes || out->failed) return;
  out->length = solid;
  out->bytes[solid] = '\0';
}

/* Quoted pieces, blanks between them left out, and then a plain one. */
static int read_systemd(reader *r, dr_text *out) {
  int status = DR_OK;
  skip_blanks(r);
  while (status == DR_OK && !at_end(r) && (*r->at == '"' || *r->at == '\'')) {
    int line = r->line;
    char quote = take(r);
    status = quote == '"' ? read_double_systemd(r, line, out) : read_single(r, line, out);
    skip_blanks(r);
  }
  if (status == DR_OK) read_plain_systemd(r, out);
  return status;
}

static int read_docker(reader *r, dr_text *out) {
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  if (!stop) stop = r->end;
  const char *end = stop > r->at && stop[-1] == '\r' ? stop - 1 : stop;
  dr__text_add(out, r->at, (size_t)(end - r->at));
  r->at = stop;
  return DR_OK;
}

static int keep(reader *r, const char *name, size_t length, int line, dr_text *value) {
  char *text = value->bytes ? dr__text_take(value) : strdup("");
  json_t *entry = text ? json_pack("{s:s%, s:o, s:i}", "name", name, length, "value",
                                   json_string_nocheck(text), "line", line)
                       : NULL;
  free(text);
  return json_array_append_new(r->variables, entry) == 0 ? DR_OK : dr__err_nomem(r->err);
}

static int read_line(reader *r, dr_env_dialect dialect) {
  int line = r->line;
  dr_text value = {0};
  if (dialect == DR_ENV_COMPOSE && r->end - r->at > 7 && strncmp(r->at, "export ", 7) == 0) {
    r->at += 7;
    skip_blanks(r);
  }
  const char *name = r->at;
  size_t length = name_length(name, r->end);
  r->at += length;
  if (dialect != DR_ENV_DOCKER) skip_blanks(r);
  if (length == 0)
    return wrong(r, line, "a line is NAME=value, and a name has letters, digits and _");
  if (at_end(r) || *r->at == '\n') return wrong(r, line, "there is no = behind the name");
  if (*r->at != '=')
    return wrong(r, line, "there is no = behind the name, which has letters, digits and _");
  r->at++;
  int status = dialect == DR_ENV_COMPOSE   ? read_compose(r, &value)
               : dialect == DR_ENV_SYSTEMD ? read_systemd(r, &value)
                                           : read_docker(r, &value);
  if (status == DR_OK && value.failed) status = dr__err_nomem(r->err);
  if (status == DR_OK) status = keep(r, name, length, line, &value);
  dr__text_free(&value);
  if (status == DR_OK) skip_line(r);
  return status;
}

static bool is_comment(char c, dr_env_dialect dialect) {
  return c == '#' || (c == ';' && dialect == DR_ENV_SYSTEMD);
}

json_t *dr__env_file_parse(const char *text, size_t length, dr_env_dialect dialect, dr_err *err) {
  static const char mark[] = "\xEF\xBB\xBF";
  reader r = {.at = text, .end = text + length, .line = 1, .variables = json_array(), .err = err};
  int status = r.variables ? DR_OK : dr__err_nomem(err);
  if (status == DR_OK && memchr(text, '\0', length))
    status = wrong(&r, 1, "the file holds a zero byte");
  if (length >= 3 && memcmp(text, mark, 3) == 0) r.at += 3;
  while (status == DR_OK && !at_end(&r)) {
    skip_blanks(&r);
    if (at_end(&r)) break;
    if (*r.at == '\n' || is_comment(*r.at, dialect))
      skip_line(&r);
    else
      status = read_line(&r, dialect);
  }
  if (status == DR_OK) return r.variables;
  json_decref(r.variables);
  return NULL;
}

/* ------------------------------------------------------------ writing */

static bool is_plain(const char *value) {
  return value[0] && strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "_./:@%+,=-") == strlen(value);
}

static void add_quoted(dr_text *out, const char *value, const char *special, bool newlines) {
  dr__text_puts(out, "\"");
  for (const char *c = value; *c; c++) {
    if (newlines && (*c == '\n' || *c == '\r' || *c == '\t')) {
      dr__text_puts(out, *c == '\n' ? "\\n" : *c == '\r' ? "\\r" : "\\t");
      continue;
    }
    if (strchr(special, *c)) dr__text_puts(out, "\\");
    dr__text_add(out, c, 1);
  }
  dr__text_puts(out, "\"");
}

static const char *format_compose(dr_text *out, const char *value) {
  if (strstr(value, "${")) {
    return "it has a ${, which version 1 of compose replaces even between single quotes";
  }
  if (is_plain(value)) {
    dr__text_puts(out, value);
  } else if (!strpbrk(value, "'\\\n\r")) {
    dr__text_printf(out, "'%s'", value);
  } else if (strchr(value, '$')) {
    return "it has a $ beside a ', a \\ or a line end: versions 1 and 2 of compose read that "
           "differently";
  } else {
    add_quoted(out, value, "\"\\", true);
  }
  return NULL;
}

/* Why the value cannot be written; NULL: it was. */
static const char *format_value(dr_text *out, const char *value, dr_env_dialect dialect) {
  if (dialect == DR_ENV_COMPOSE) return format_compose(out, value);
  if (dialect == DR_ENV_DOCKER) {
    if (strpbrk(value, "\n\r")) return "docker run --env-file has no way to write a line end";
    dr__text_puts(out, value);
  } else if (is_plain(value)) {
    dr__text_puts(out, value);
  } else {
    add_quoted(out, value, "\"\\`$", false);
  }
  return NULL;
}

static int fail_format(dr_err *err, const char *name, const char *why) {
  dr__fail(err, "env_file.format", "the variable %s cannot be written: %s", name, why);
  return DR_FAILED;
}

char *dr__env_file_format(const json_t *variables, dr_env_dialect dialect, dr_err *err) {
  dr_text out = {0};
  size_t i;
  json_t *entry;
  int status = DR_OK;
  dr__text_puts(&out, "");
  json_array_foreach(variables, i, entry) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    json_t *value = json_object_get(entry, "value");
    const char *text = json_string_value(value);
    size_t length = name ? strlen(name) : 0;
    if (length == 0 || name_length(name, name + length) != length) {
      status = fail_format(err, name ? name : "", "a name has letters, digits and _");
      break;
    }
    if (!text || strlen(text) != json_string_length(value)) {
      status = fail_format(err, name, "its value is no text, or holds a zero byte");
      break;
    }
    dr__text_printf(&out, "%s=", name);
    const char *why = format_value(&out, text, dialect);
    dr__text_puts(&out, "\n");
    if (why) status = fail_format(err, name, why);
    if (why) break;
  }
  if (status == DR_OK) {
    char *text = dr__text_take(&out);
    if (!text) dr__err_nomem(err);
    return text;
  }
  dr__text_free(&out);
  return NULL;
}
