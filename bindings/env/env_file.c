/* env_file.c - reads env files of systemd and docker run, and writes all dialects; those of compose
 * are read in env_file_compose.c. Pure, any thread; the header says what the dialects are. Called
 * by env_file_op.c; reading is fuzzed. */
#include "env_file.h"
#include "env_file_read.h"

#include "core/err.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ names */

bool dr__env_dialect_of(dr_env_dialect *out, const char *name) {
  static const char *const names[] = {"compose", "systemd", "docker", "compose-v1"};
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

bool dr__env_at_end(const dr_env_reader *r) {
  return r->at >= r->end;
}

char dr__env_take(dr_env_reader *r) {
  char c = *r->at++;
  if (c == '\n') r->line++;
  return c;
}

void dr__env_skip_line(dr_env_reader *r) {
  while (!dr__env_at_end(r) && dr__env_take(r) != '\n') {
  }
}

int dr__env_wrong(dr_env_reader *r, int line, const char *why) {
  return dr__fail(r->err, "env_file.syntax", "line %d: %s", line, why);
}

int dr__env_keep(dr_env_reader *r, const char *name, size_t length, dr_text *value) {
  json_t *text = json_null();
  if (value) {
    char *bytes = value->bytes ? dr__text_take(value) : strdup("");
    text = bytes ? json_string_nocheck(bytes) : NULL;
    free(bytes);
  }
  json_t *key = json_stringn_nocheck(name, length);
  if (key && json_object_set_nocheck(r->known, json_string_value(key), text) != 0) {
    json_decref(key);
    key = NULL;
  }
  json_t *entry = json_pack("{s:o, s:o, s:i}", "name", key, "value", text, "line", r->begun);
  return json_array_append_new(r->variables, entry) == 0 ? DR_OK : dr__err_nomem(r->err);
}

static void skip_blanks(dr_env_reader *r) {
  while (!dr__env_at_end(r) && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

/* ------------------------------------------------------------ systemd */

static int read_single(dr_env_reader *r, int line, dr_text *out) {
  const char *close = memchr(r->at, '\'', (size_t)(r->end - r->at));
  if (!close) return dr__env_wrong(r, line, "the quote ' is not closed");
  while (r->at < close) {
    char c = dr__env_take(r);
    dr__text_add(out, &c, 1);
  }
  r->at = close + 1;
  return DR_OK;
}

static int read_double_systemd(dr_env_reader *r, int line, dr_text *out) {
  while (!dr__env_at_end(r)) {
    char c = dr__env_take(r);
    if (c == '"') return DR_OK;
    if (c != '\\' || dr__env_at_end(r)) {
      dr__text_add(out, &c, 1);
      continue;
    }
    c = dr__env_take(r);
    if (c == '\n') continue;
    if (!strchr("\"\\`$", c) || !c) dr__text_puts(out, "\\");
    dr__text_add(out, &c, 1);
  }
  return dr__env_wrong(r, line, "the quote \" is not closed");
}

/* The plain part of a value, to the line's end; quotes in it are letters. Blanks at the end do not
 * count unless a \\ stands before them. */
static void read_plain_systemd(dr_env_reader *r, dr_text *out) {
  size_t solid = out->length;
  while (!dr__env_at_end(r) && *r->at != '\n') {
    char c = dr__env_take(r);
    bool escaped = c == '\\' && !dr__env_at_end(r);
    if (escaped) c = dr__env_take(r);
    if (!escaped || c != '\n') dr__text_add(out, &c, 1);
    if (escaped || (c != ' ' && c != '\t' && c != '\r')) solid = out->length;
  }
  if (!out->bytes || out->failed) return;
  out->length = solid;
  out->bytes[solid] = '\0';
}

/* Quoted pieces, blanks between them left out, and then a plain one. */
static int read_systemd(dr_env_reader *r, dr_text *out) {
  int status = DR_OK;
  skip_blanks(r);
  while (status == DR_OK && !dr__env_at_end(r) && (*r->at == '"' || *r->at == '\'')) {
    int line = r->line;
    char quote = dr__env_take(r);
    status = quote == '"' ? read_double_systemd(r, line, out) : read_single(r, line, out);
    skip_blanks(r);
  }
  if (status == DR_OK) read_plain_systemd(r, out);
  return status;
}

static int read_value_systemd(dr_env_reader *r, size_t length, dr_text *out) {
  if (length == 0)
    return dr__env_wrong(r, r->begun, "a line is NAME=value, and a name has letters, digits and _");
  skip_blanks(r);
  if (dr__env_at_end(r) || *r->at != '=')
    return dr__env_wrong(r, r->begun,
                         "there is no = behind the name, which has letters, digits and _");
  r->at++;
  return read_systemd(r, out);
}

/* A comment. Before version 254 of systemd it goes on where its line ends with \, so there a
 * variable below it means something else from one version to the other. */
static int skip_comment_systemd(dr_env_reader *r) {
  while (!dr__env_at_end(r)) {
    char c = dr__env_take(r);
    if (c == '\n') return DR_OK;
    if (c != '\\' || dr__env_at_end(r) || dr__env_take(r) != '\n') continue;
    size_t next = strspn(r->at, " \t\r");
    if (r->at[next] && !strchr("\n#;", r->at[next]))
      return dr__env_wrong(r, r->begun,
                           "the comment ends with \\: systemd before 254 takes the next line for "
                           "a part of it, later versions for a variable");
  }
  return DR_OK;
}

/* ------------------------------------------------------------ docker run */

/* A name without = stands for a variable of who runs docker. */
static int read_line_docker(dr_env_reader *r) {
  dr_text value = {0};
  const char *name = r->at;
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  if (!stop) stop = r->end;
  const char *end = stop > r->at && stop[-1] == '\r' ? stop - 1 : stop;
  while (r->at < end && !strchr("= \t", *r->at)) r->at++;
  size_t length = (size_t)(r->at - name);
  if (length == 0) return dr__env_wrong(r, r->begun, "there is no name before the =");
  if (r->at < end && *r->at != '=')
    return dr__env_wrong(r, r->begun, "there is a blank in the name or behind it");
  int status = DR_OK;
  if (r->at < end) {
    dr__text_add(&value, r->at + 1, (size_t)(end - r->at - 1));
    status = value.failed ? dr__err_nomem(r->err) : dr__env_keep(r, name, length, &value);
  }
  dr__text_free(&value);
  dr__env_skip_line(r);
  return status;
}

static int read_line_systemd(dr_env_reader *r) {
  dr_text value = {0};
  const char *name = r->at;
  size_t length = name_length(name, r->end);
  r->at += length;
  int status = read_value_systemd(r, length, &value);
  if (status == DR_OK && value.failed) status = dr__err_nomem(r->err);
  if (status == DR_OK) status = dr__env_keep(r, name, length, &value);
  dr__text_free(&value);
  if (status == DR_OK) dr__env_skip_line(r);
  return status;
}

/* ------------------------------------------------------------ a whole file */

static int read_line(dr_env_reader *r, dr_env_dialect dialect) {
  r->begun = r->line;
  if (*r->at == '\n' || (*r->at == '#' && dialect != DR_ENV_SYSTEMD)) {
    dr__env_skip_line(r);
    return DR_OK;
  }
  if (dialect == DR_ENV_DOCKER) return read_line_docker(r);
  if (dialect != DR_ENV_SYSTEMD) return dr__env_read_compose(r, dialect == DR_ENV_COMPOSE_V1);
  return *r->at == '#' || *r->at == ';' ? skip_comment_systemd(r) : read_line_systemd(r);
}

/* Python reads each kind of line end as \n. */
static void plain_line_ends(const char *text, size_t length, dr_text *out) {
  dr__text_puts(out, "");
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '\r' && i + 1 < length && text[i + 1] == '\n') continue;
    dr__text_add(out, text[i] == '\r' ? "\n" : &text[i], 1);
  }
}

/* The variables without the names that stood alone, and without what was said of these before: the
 * last line of a name counts. NULL when memory is short. */
static json_t *without_alone(const json_t *variables) {
  json_t *kept = json_array();
  json_t *alone = json_object();
  size_t i;
  json_t *entry;
  int failed = !kept || !alone;
  for (i = json_array_size(variables); i-- > 0 && !failed;) {
    entry = json_array_get(variables, i);
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (json_is_null(json_object_get(entry, "value")))
      failed = json_object_set_new_nocheck(alone, name, json_true());
    if (json_object_get(alone, name)) json_object_set(entry, "value", json_null());
  }
  json_array_foreach(variables, i, entry) {
    if (!failed && !json_is_null(json_object_get(entry, "value")))
      failed = json_array_append(kept, entry);
  }
  json_decref(alone);
  if (!failed) return kept;
  json_decref(kept);
  return NULL;
}

static int read_all(dr_env_reader *r, dr_env_dialect dialect) {
  int status = DR_OK;
  while (status == DR_OK) {
    skip_blanks(r);
    if (dr__env_at_end(r)) break;
    status = read_line(r, dialect);
  }
  return status;
}

json_t *dr__env_file_parse(const char *text, size_t length, dr_env_dialect dialect, dr_err *err) {
  static const char mark[] = "\xEF\xBB\xBF";
  dr_text copy = {0};
  dr_env_reader r = {
      .line = 1, .begun = 1, .variables = json_array(), .known = json_object(), .err = err};
  size_t skipped = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
  if (dialect == DR_ENV_COMPOSE_V1)
    plain_line_ends(text + skipped, length - skipped, &copy);
  else {
    dr__text_puts(&copy, "");
    dr__text_add(&copy, text + skipped, length - skipped);
  }
  const char *bytes = copy.bytes ? copy.bytes : "";
  int status = r.variables && r.known && !copy.failed ? DR_OK : dr__err_nomem(err);
  if (status == DR_OK && strlen(bytes) != copy.length)
    status = dr__env_wrong(&r, 1, "the file holds a zero byte");
  r.at = bytes;
  r.end = r.at + copy.length;
  if (status == DR_OK) status = read_all(&r, dialect);
  dr__text_free(&copy);
  json_t *kept = status == DR_OK ? without_alone(r.variables) : NULL;
  if (status == DR_OK && !kept) dr__err_nomem(err);
  json_decref(r.variables);
  json_decref(r.known);
  return kept;
}

/* ------------------------------------------------------------ writing */

/* Only letters, digits and some signs, and those of `more`: no dialect reads them as anything else.
 */
static bool is_plain(const char *value, const char *more) {
  static const char signs[] = "_./:@%+,=-";
  for (const char *c = value; *c; c++) {
    if (!is_name_char(*c, false) && !strchr(signs, *c) && !strchr(more, *c)) return false;
  }
  return value[0] != '\0';
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

/* One text that versions 1 and 2 read alike. A \ is itself where no quotes are; before the closing
 * " version 1 may take it for the escape of that. */
static const char *format_compose(dr_text *out, const char *value) {
  if (strstr(value, "${")) {
    return "it has a ${, which version 1 of compose replaces even between single quotes";
  }
  size_t length = strlen(value);
  if (is_plain(value, "\\")) {
    dr__text_puts(out, value);
  } else if (!strpbrk(value, "'\\\n\r")) {
    dr__text_printf(out, "'%s'", value);
  } else if (strchr(value, '$')) {
    return "it has a $ beside a ', a \\ or a line end: versions 1 and 2 of compose read that "
           "differently";
  } else if (value[length - 1] == '\\') {
    return "it ends with a \\, which version 1 of compose may read with the quote behind it";
  } else {
    add_quoted(out, value, "\"\\", true);
  }
  return NULL;
}

/* Why the value cannot be written; NULL: it was. */
static const char *format_value(dr_text *out, const char *value, dr_env_dialect dialect) {
  if (dialect == DR_ENV_COMPOSE || dialect == DR_ENV_COMPOSE_V1) return format_compose(out, value);
  if (dialect == DR_ENV_DOCKER) {
    if (strpbrk(value, "\n\r")) return "docker run --env-file has no way to write a line end";
    dr__text_puts(out, value);
  } else if (is_plain(value, "")) {
    dr__text_puts(out, value);
  } else {
    add_quoted(out, value, "\"\\`$", false);
  }
  return NULL;
}

/* Compose and docker run take names with . and - as well. */
static bool is_name(const char *name, dr_env_dialect dialect) {
  for (const char *c = name; *c; c++) {
    bool more = dialect != DR_ENV_SYSTEMD && c > name && strchr(".-", *c);
    if (!more && !is_name_char(*c, c == name)) return false;
  }
  return true;
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
    if (length == 0 || !is_name(name, dialect)) {
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
