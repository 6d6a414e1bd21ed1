/* postgres/scan.c - calls libpg_query's scanner and reads its answer, a protobuf message of which
 * two numbers a token matter. Pure, any thread. Used by statements.c. */
#include "postgres/scan.h"

#include "core/err.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ protobuf
 *
 *   ScanResult { int32 version = 1; repeated ScanToken tokens = 2; }
 *   ScanToken  { int32 start = 1; int32 end = 2; Token token = 4; KeywordKind keyword_kind = 5; }
 *
 * A field is a varint (number << 3 | type) and its value; a number that is 0 is left out. */

enum { VARINT = 0, BYTES = 2, MAX_SHIFT = 63 };

typedef struct reader {
  const unsigned char *at;
  const unsigned char *end;
} reader;

static uint64_t take_varint(reader *in) {
  uint64_t value = 0;
  for (unsigned shift = 0; in->at < in->end && shift <= MAX_SHIFT; shift += 7) {
    unsigned char byte = *in->at++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) break;
  }
  return value;
}

/* The next field: its number, and its value or, of bytes, a cursor over them. 0 at the end. */
static unsigned take_field(reader *in, uint64_t *value, reader *bytes) {
  if (in->at >= in->end) return 0;
  uint64_t key = take_varint(in);
  *value = take_varint(in);
  *bytes = (reader){in->at, in->at};
  if ((key & 7) == BYTES) {
    size_t left = (size_t)(in->end - in->at);
    bytes->end = in->at + (*value < left ? (size_t)*value : left);
    in->at = bytes->end;
  }
  return (unsigned)(key >> 3);
}

static dr_sql_token read_token(reader in) {
  dr_sql_token token = {0};
  uint64_t value;
  reader bytes;
  for (unsigned field; (field = take_field(&in, &value, &bytes)) != 0;)
    if (field == 1) token.start = (uint32_t)value;
  return token;
}

static size_t count_tokens(reader in) {
  size_t count = 0;
  uint64_t value;
  reader bytes;
  for (unsigned field; (field = take_field(&in, &value, &bytes)) != 0;) count += field == 2;
  return count;
}

/* A token ends where the blanks before the next one begin: the scanner's own ends are wrong for
 * U&'…' and U&"…". */
static void find_ends(dr_sql_tokens *tokens, const char *text, size_t length) {
  for (size_t i = 0; i < tokens->count; i++) {
    dr_sql_token *token = &tokens->items[i];
    size_t end = i + 1 < tokens->count ? token[1].start : length;
    while (end > token->start + 1 && strchr(" \t\n\r\f\v", text[end - 1])) end--;
    token->end = (uint32_t)end;
  }
}

static int read_tokens(reader in, const char *text, size_t length, dr_sql_tokens *out,
                       dr_err *err) {
  size_t count = count_tokens(in);
  out->items = calloc(count ? count : 1, sizeof *out->items);
  if (!out->items) return dr__err_nomem(err);
  uint64_t value;
  reader bytes;
  for (unsigned field; (field = take_field(&in, &value, &bytes)) != 0;) {
    if (field != 2) continue;
    dr_sql_token token = read_token(bytes);
    bool follows = out->count == 0 || token.start > out->items[out->count - 1].start;
    if (follows && token.start < length) out->items[out->count++] = token;
  }
  find_ends(out, text, length);
  return DR_OK;
}

/* ------------------------------------------------------------ scanning */

void dr__sql_mistake_set(dr_sql_mistake *mistake, const char *text, size_t length,
                         const char *message, int cursor) {
  size_t offset = 0;
  for (int left = cursor > 0 ? cursor - 1 : 0; left > 0 && offset < length; left--) {
    offset++;
    while (offset < length && ((unsigned char)text[offset] & 0xC0) == 0x80) offset++;
  }
  mistake->offset = offset;
  dr__copy_text(mistake->message, sizeof mistake->message, message ? message : "no SQL");
}

int dr__sql_scan(const char *text, size_t length, dr_sql_tokens *out, dr_sql_mistake *mistake,
                 dr_err *err) {
  *out = (dr_sql_tokens){0};
  PgQueryScanResult result = pg_query_scan(text);
  const unsigned char *bytes = (const unsigned char *)result.pbuf.data;
  int status = DR_FAILED;
  if (result.error) {
    dr__sql_mistake_set(mistake, text, length, result.error->message, result.error->cursorpos);
  } else {
    reader all = {bytes, bytes ? bytes + result.pbuf.len : bytes};
    status = read_tokens(all, text, length, out, err);
  }
  pg_query_free_scan_result(result);
  return status;
}

bool dr__sql_is_word(const char *text, const dr_sql_token *token, const char *word) {
  const char *at = text + token->start;
  size_t length = token->end - token->start;
  for (size_t i = 0; i < length; i++) {
    char c = at[i] >= 'a' && at[i] <= 'z' ? (char)(at[i] - 'a' + 'A') : at[i];
    if (c != word[i]) return false; /* the word's end is a difference, too */
  }
  return word[length] == '\0';
}
