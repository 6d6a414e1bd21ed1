/* env_file_compose.c - one statement of an env file as compose reads it: version 1 (docker-compose,
 * python-dotenv) and version 2 (docker compose, compose-go). They share the shape of a statement
 * and differ in quotes, escapes and $. Pure, any thread; called by env_file.c.
 */
#include "env_file_read.h"

#include "core/err.h"

#include <string.h>

enum { MAX_DEPTH = 32 }; /* ${A:-${B:-…}} */

/* ------------------------------------------------------------ letters */

/* How many bytes the white space at `at` has; 0 for a line end and for anything else. */
static size_t space_length(const char *at, const char *end) {
  static const char *const wide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80",
                                     "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
                                     "\xE2\x81\x9F", "\xE3\x80\x80"};
  if (at >= end) return 0;
  if (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\v' || *at == '\f') return 1;
  for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
    size_t length = strlen(wide[i]);
    if ((size_t)(end - at) >= length && memcmp(at, wide[i], length) == 0) return length;
  }
  bool narrow = end - at >= 3 && memcmp(at, "\xE2\x80", 2) == 0;
  return narrow && (unsigned char)at[2] >= 0x80 && (unsigned char)at[2] <= 0x8A ? 3 : 0;
}

static void skip_spaces(dr_env_reader *r) {
  size_t length;
  while ((length = space_length(r->at, r->end)) > 0) r->at += length;
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Of the name of a variable behind a $ in version 2. */
static size_t variable_length(const char *at, const char *end) {
  const char *c = at;
  if (c < end && !is_letter(*c)) return 0;
  while (c < end && (is_letter(*c) || is_digit(*c))) c++;
  return (size_t)(c - at);
}

/* Of the name that a statement gives a value. Version 1 takes whatever has no space, = or #. */
static size_t name_length(const dr_env_reader *r, bool version_1) {
  const char *c = r->at;
  for (; c < r->end && *c != '\n' && *c != '=' && *c != '#'; c++) {
    if (space_length(c, r->end) > 0) break;
    bool usual = is_letter(*c) || is_digit(*c) || (*c && strchr(".-[]", *c)) || (*c & 0x80);
    if (!usual && !version_1) break;
  }
  return (size_t)(c - r->at);
}

/* What an earlier line gave the name: "" where it stood alone, NULL when there is none. */
static const char *known(const dr_env_reader *r, const char *name, size_t length) {
  const json_t *value = json_object_getn(r->known, name, length);
  return json_is_null(value) ? "" : json_string_value(value);
}

/* ------------------------------------------------------------ ${NAME} in version 1 */

/* "${NAME}" or "${NAME:-other}" at `at`: its end, NULL when it is neither. The other counts when
 * nothing gave the name, not when it is empty. */
static const char *replace_v1(dr_env_reader *r, const char *at, const char *end, dr_text *out) {
  const char *name = at + 2;
  const char *stop = name;
  while (stop < end && *stop != '}' && *stop != ':') stop++;
  const char *other = stop;
  const char *close = stop;
  if (stop < end && *stop == ':') {
    if (end - stop < 2 || stop[1] != '-') return NULL;
    other = stop + 2;
    close = memchr(other, '}', (size_t)(end - other));
  }
  if (!close || close >= end) return NULL;
  const char *value = known(r, name, (size_t)(stop - name));
  if (value)
    dr__text_puts(out, value);
  else
    dr__text_add(out, other, (size_t)(close - other));
  return close + 1;
}

static void interpolate_v1(dr_env_reader *r, const dr_text *raw, dr_text *out) {
  const char *end = raw->bytes + raw->length;
  for (const char *c = raw->bytes; c < end;) {
    bool dollar = end - c >= 2 && c[0] == '$' && c[1] == '{';
    const char *next = dollar ? replace_v1(r, c, end, out) : NULL;
    if (!next) dr__text_add(out, c, 1);
    c = next ? next : c + 1;
  }
}

/* ------------------------------------------------------------ $NAME and ${NAME} in version 2 */

static int interpolate_v2(dr_env_reader *r, const char *at, const char *end, int depth,
                          dr_text *out);

/* The } that belongs to the { at `at`; NULL: none does. */
static const char *closing_brace(const char *at, const char *end) {
  int open = 0;
  for (; at < end; at++) {
    if (*at == '{') open++;
    if (*at == '}' && --open == 0) return at;
  }
  return NULL;
}

/* "{NAME}", "{NAME:-other}", "{NAME:+other}", "{NAME:?message}" at *at, also without the colon.
 * What a message asks for may stand in the environment of compose, which is not known here. */
static int replace_v2(dr_env_reader *r, const char **at, const char *end, int depth, dr_text *out) {
  const char *name = *at + 1;
  const char *close = closing_brace(*at, end);
  size_t length = close ? variable_length(name, close) : 0;
  if (length == 0) return dr__env_wrong(r, r->begun, "a ${ begins no ${NAME}");
  const char *how = name + length;
  bool filled = *how == ':'; /* an empty value counts as none */
  if (filled) how++;
  if (how == close ? filled : !strchr("-+?", *how))
    return dr__env_wrong(r, r->begun, "a ${NAME goes on with }, :-, -, :+, + or :?");
  const char *value = known(r, name, length);
  bool given = value && (!filled || *value);
  *at = close + 1;
  if (how < close && *how == (given ? '+' : '-'))
    return interpolate_v2(r, how + 1, close, depth + 1, out);
  if (value && (how == close || *how != '+')) dr__text_puts(out, value);
  return DR_OK;
}

static int interpolate_v2(dr_env_reader *r, const char *at, const char *end, int depth,
                          dr_text *out) {
  int status = DR_OK;
  if (depth > MAX_DEPTH) return dr__env_wrong(r, r->begun, "too many ${ inside each other");
  while (status == DR_OK && at < end) {
    char c = *at++;
    if (c != '$' || (at < end && *at == '$')) {
      if (c == '$') at++;
      dr__text_add(out, &c, 1);
    } else if (at < end && *at == '{') {
      status = replace_v2(r, &at, end, depth, out);
    } else {
      size_t length = variable_length(at, end);
      const char *value = length ? known(r, at, length) : NULL;
      if (length == 0)
        return dr__env_wrong(r, r->begun,
                             "a $ stands before no name: compose refuses the file; "
                             "write $$, or the value in single quotes");
      if (value) dr__text_puts(out, value);
      at += length;
    }
  }
  return status;
}

/* ------------------------------------------------------------ quotes and escapes */

/* The quote that ends a value which begins at `at`; NULL: none does. Version 2 takes a \ and what
 * follows as a pair; for version 1 only \ and the quote is one, and where then no quote is left the
 * last of these closes the value. */
static const char *closing_quote(const char *at, const char *end, char quote, bool version_1) {
  const char *last = NULL;
  while (at < end && *at != quote) {
    bool pair = *at == '\\' && at + 1 < end && (!version_1 || at[1] == quote);
    if (pair) last = at + 1;
    at += pair ? 2 : 1;
  }
  if (at < end) return at;
  return version_1 ? last : NULL;
}

static void add_rune(unsigned rune, dr_text *out) {
  char low = (char)rune;
  char pair[] = {(char)(0xC0 | rune >> 6), (char)(0x80 | (rune & 0x3F))};
  dr__text_add(out, rune < 0x80 ? &low : pair, rune < 0x80 ? 1 : 2);
}

/* "\0123": \, a zero and three octal digits are a letter; with fewer or wrong ones the zero is
 * lost. Returns the end. */
static const char *unescape_octal(const char *at, const char *end, dr_text *out) {
  const char *stop = at + 1;
  unsigned rune = 0;
  bool octal = true;
  while (stop < end && stop - at <= 3 && is_digit(*stop)) {
    octal = octal && *stop < '8';
    rune = rune * 8 + (unsigned)(*stop++ - '0');
  }
  if (stop - at == 4 && octal && rune < 0x100) {
    add_rune(rune, out);
  } else {
    dr__text_puts(out, "\\");
    dr__text_add(out, at + 1, (size_t)(stop - at - 1));
  }
  return stop;
}

/* The letters from `at` to `end`, which stood between quotes, with their escapes undone. */
static void unescape(const char *at, const char *end, char quote, bool version_1, dr_text *out) {
  static const char letters[] = "abfnrtv";
  static const char meant[] = "\a\b\f\n\r\t\v";
  while (at < end) {
    char c = *at++;
    const char *letter = at < end && quote == '"' ? strchr(letters, *at) : NULL;
    bool octal = c == '\\' && quote == '"' && !version_1 && at < end && *at == '0';
    bool same = at < end && (*at == quote || (*at == '\\' && (quote == '"' || version_1)) ||
                             (*at == '\'' && version_1));
    if (octal) {
      at = unescape_octal(at, end, out);
    } else if (c == '\\' && letter && *letter) {
      dr__text_add(out, &meant[letter - letters], 1);
      at++;
    } else if (c == '\\' && same) {
      dr__text_add(out, at++, 1);
    } else if (c == '\\' && !version_1 && quote == '"' && at < end && *at == '$') {
      dr__text_puts(out, "$$"); /* a dollar, when the variables are put in */
      at++;
    } else {
      dr__text_add(out, &c, 1);
      if (c == '\\' && !version_1 && at < end) dr__text_add(out, at++, 1);
    }
  }
}

/* ------------------------------------------------------------ values */

static int read_quoted(dr_env_reader *r, bool version_1, dr_text *raw) {
  char quote = dr__env_take(r);
  const char *close = closing_quote(r->at, r->end, quote, version_1);
  if (!close) {
    return dr__env_wrong(r, r->begun,
                         quote == '"' ? "the quote \" is not closed" : "the quote ' is not closed");
  }
  unescape(r->at, close, quote, version_1, raw);
  while (r->at <= close) dr__env_take(r);
  skip_spaces(r);
  if (!dr__env_at_end(r) && *r->at != '\n' && *r->at != '#')
    return dr__env_wrong(r, r->begun, "something stands behind the closing quote");
  return DR_OK;
}

/* To the line's end or a comment: a # behind a blank, for version 2 behind " " itself. */
static void read_plain(dr_env_reader *r, bool version_1, dr_text *raw) {
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  if (!stop) stop = r->end;
  const char *solid = r->at; /* behind the last letter that is no white space */
  bool blank = false;
  for (const char *c = r->at; c < stop;) {
    if (*c == '#' && blank && (version_1 || c[-1] == ' ')) break;
    size_t space = space_length(c, stop);
    blank = space > 0;
    c += blank ? space : 1;
    if (!blank) solid = c;
  }
  dr__text_add(raw, r->at, (size_t)(solid - r->at));
  r->at = stop;
}

static int read_value(dr_env_reader *r, bool version_1, dr_text *out) {
  dr_text raw = {0};
  int status = DR_OK;
  skip_spaces(r);
  char quote = dr__env_at_end(r) ? '\0' : *r->at;
  bool quoted = quote == '\'' || quote == '"';
  if (quoted)
    status = read_quoted(r, version_1, &raw);
  else
    read_plain(r, version_1, &raw);
  if (status == DR_OK && raw.failed) status = dr__err_nomem(r->err);
  if (status == DR_OK && raw.bytes && strlen(raw.bytes) != raw.length)
    status = dr__env_wrong(r, r->begun, "its value has a zero byte");
  if (status == DR_OK && raw.bytes) {
    if (version_1)
      interpolate_v1(r, &raw, out);
    else if (quote == '\'')
      dr__text_add(out, raw.bytes, raw.length);
    else
      status = interpolate_v2(r, raw.bytes, raw.bytes + raw.length, 0, out);
  }
  dr__text_free(&raw);
  return status;
}

/* ------------------------------------------------------------ statements */

static void skip_export(dr_env_reader *r) {
  static const char word[] = "export";
  size_t length = sizeof word - 1;
  if ((size_t)(r->end - r->at) <= length || memcmp(r->at, word, length) != 0) return;
  if (space_length(r->at + length, r->end) == 0) return;
  r->at += length;
  skip_spaces(r);
}

/* The name, for version 1 also between single quotes; *length is 0 when there is none. */
static const char *read_name(dr_env_reader *r, bool version_1, size_t *length) {
  const char *name = r->at;
  if (!version_1 || dr__env_at_end(r) || *name != '\'') {
    *length = name_length(r, version_1);
    r->at += *length;
    return name;
  }
  name++;
  const char *close = memchr(name, '\'', (size_t)(r->end - name));
  *length = close ? (size_t)(close - name) : 0;
  while (close && r->at <= close) dr__env_take(r);
  return name;
}

static bool stands_alone(const dr_env_reader *r, bool version_1) {
  return dr__env_at_end(r) || *r->at == '\n' || (version_1 && *r->at == '#');
}

int dr__env_read_compose(dr_env_reader *r, bool version_1) {
  dr_text value = {0};
  size_t length;
  skip_export(r);
  const char *name = read_name(r, version_1, &length);
  skip_spaces(r);
  if (length == 0)
    return dr__env_wrong(r, r->begun, "a line is NAME=value, and no name of compose stands there");
  int status = DR_OK;
  if (stands_alone(r, version_1)) {
    if (version_1) status = dr__env_keep(r, name, length, NULL);
    dr__env_skip_line(r);
    return status;
  }
  if (*r->at != '=' && (version_1 || *r->at != ':'))
    return dr__env_wrong(r, r->begun, "there is no = behind the name");
  r->at++;
  status = read_value(r, version_1, &value);
  if (status == DR_OK) status = dr__env_keep(r, name, length, &value);
  dr__text_free(&value);
  if (status == DR_OK) dr__env_skip_line(r);
  return status;
}
