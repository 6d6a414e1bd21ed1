/* postgres/statements.c - splits an SQL script into statements and comments, and hashes it. Pure,
 * any thread; the header has the contract. What a statement means for transactions is told by
 * statement_facts.c, what went wrong by script_error.c.
 *
 * Where statements begin and end is the parser's word (a ";" may stand inside BEGIN ATOMIC, a rule
 * or a string); the scanner's words then say where a statement really begins behind its comments.
 */
#include "postgres/statements.h"

#include "postgres/scan.h"
#include "postgres/script_error.h"
#include "postgres/statement_facts.h"
#include "sha256.h"

#include "core/err.h"
#include "core/json.h"

#include <limits.h>
#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ the text */

static int check_text(const dr_sql_script *script, dr_err *err) {
  const char *why = NULL;
  const char *at = script->text;
  const char *end = at + script->length;
  while (at < end && !why) {
    size_t step = *at ? dr__utf8_character(at) : 0;
    if (step == 0)
      why = *at ? "a byte that is not UTF-8" : "a zero byte";
    else
      at += step;
  }
  if (!why) return DR_OK;
  dr__fail(err, "postgres.encoding", "line %d: %s, which no SQL can have",
           dr__sql_line(script->text, (size_t)(at - script->text)), why);
  dr__err_hint(err, "save the script as UTF-8");
  return DR_FAILED;
}

static int take_text(dr_sql_script *script, const char *sql, size_t length, dr_err *err) {
  static const char mark[] = "\xEF\xBB\xBF";
  if (length > DR_SQL_MAX_BYTES) {
    dr__fail(err, "postgres.too_large", "a script of %zu bytes; at most %d are read", length,
             DR_SQL_MAX_BYTES);
    dr__err_hint(err, "split it, or load rows with COPY from a file of the server or pg_restore");
    return DR_FAILED;
  }
  size_t skip = length >= 3 && memcmp(sql, mark, 3) == 0 ? 3 : 0;
  script->length = length - skip;
  script->text = malloc(script->length + 1);
  if (!script->text) return dr__err_nomem(err);
  memcpy(script->text, sql + skip, script->length);
  script->text[script->length] = '\0';
  return check_text(script, err);
}

/* ------------------------------------------------------------ words into statements */

/* The walk over a script's words, in step with the parser's statements. */
typedef struct walk {
  dr_sql_script *script;
  const dr_sql_tokens *tokens;
  size_t at;      /* next word */
  size_t counted; /* lines are counted up to here */
  size_t line_start;
  int line;
  int end_line;   /* of the last statement */
  size_t claimed; /* comments that belong to a statement */
  dr_sha256 hash;
} walk;

static void count_lines(walk *w, size_t offset) {
  const char *text = w->script->text;
  while (w->counted < offset) {
    const char *end = memchr(text + w->counted, '\n', offset - w->counted);
    if (!end) break;
    w->line++;
    w->line_start = w->counted = (size_t)(end - text) + 1;
  }
  w->counted = offset;
}

static int column_of(const walk *w, size_t offset) {
  int column = 1;
  for (size_t i = w->line_start; i < offset; i++)
    column += ((unsigned char)w->script->text[i] & 0xC0) != 0x80;
  return column;
}

static void add_comment(walk *w, const dr_sql_token *token) {
  const char *text = w->script->text;
  size_t end = token->end;
  while (end > token->start && (text[end - 1] == '\r' || text[end - 1] == '\n')) end--;
  count_lines(w, token->start);
  w->script->comments[w->script->comment_count++] =
      (dr_sql_comment){.offset = token->start, .length = end - token->start, .line = w->line};
}

/* Adds a word to the hash: a word without quotes in small letters, any other as it stands but for
 * carriage returns before line ends; a zero byte behind it. */
static void hash_word(dr_sha256 *hash, const char *word, size_t length) {
  bool quoted = memchr(word, '\'', length) || memchr(word, '"', length) || word[0] == '$';
  char buffer[256];
  size_t used = 0;
  for (size_t i = 0; i < length; i++) {
    char c = word[i];
    if (quoted && c == '\r' && i + 1 < length && word[i + 1] == '\n') continue;
    if (!quoted && c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    buffer[used++] = c;
    if (used < sizeof buffer) continue;
    dr__sha256_add(hash, buffer, used);
    used = 0;
  }
  dr__sha256_add(hash, buffer, used);
  dr__sha256_add(hash, "", 1);
}

/* How deep the parse tree of a row of words can be: a level needs a word of its own, and a comma
 * ends what is nested at its height - but for UNION and its like, which chain selects that have
 * commas. */
typedef struct depth_meter {
  size_t words[64]; /* since the last comma, of each bracket that is open */
  size_t open;
  size_t deeper; /* brackets that are open beyond those */
  size_t now, most;
} depth_meter;

static bool chains_selects(const char *text, const dr_sql_token *token) {
  return dr__sql_is_word(text, token, "UNION") || dr__sql_is_word(text, token, "EXCEPT") ||
         dr__sql_is_word(text, token, "INTERSECT");
}

static void forget_level(depth_meter *meter) {
  meter->now -= meter->words[meter->open];
  meter->words[meter->open] = 0;
}

static void close_bracket(depth_meter *meter) {
  if (meter->deeper > 0) {
    meter->deeper--;
  } else if (meter->open > 0) {
    forget_level(meter);
    meter->open--;
  }
}

static void open_bracket(depth_meter *meter) {
  if (meter->open + 1 < sizeof meter->words / sizeof *meter->words)
    meter->open++;
  else
    meter->deeper++;
}

static void measure(depth_meter *meter, const char *text, const dr_sql_token *token) {
  char c = token->end - token->start == 1 ? text[token->start] : '\0';
  if (c == ',' && meter->deeper == 0) forget_level(meter);
  if (c == ')' || c == ']') close_bracket(meter);
  if (!chains_selects(text, token)) meter->words[meter->open]++;
  meter->now++;
  if (meter->now > meter->most) meter->most = meter->now;
  if (c == '(' || c == '[') open_bracket(meter);
}

/* Where the rows of an INSERT … VALUES stand. */
typedef enum row_state { NO_INSERT, BEFORE_ROWS, IN_ROWS, BEHIND_ROWS } row_state;

/* `open`: brackets around the word; of a closing one, around what it closes. */
static row_state find_rows(row_state state, dr_sql_statement *statement, const char *text,
                           const dr_sql_token *token, size_t open) {
  if (statement->words == 0)
    return dr__sql_is_word(text, token, "INSERT") ? BEFORE_ROWS : NO_INSERT;
  if (open > 0) return state;
  if (state == BEFORE_ROWS) return dr__sql_is_word(text, token, "VALUES") ? IN_ROWS : state;
  if (state != IN_ROWS || dr__sql_is_char(text, token, '(')) return state;
  if (dr__sql_is_char(text, token, ')')) {
    statement->last_row = token->end - statement->offset;
    if (statement->first_row == 0) statement->first_row = statement->last_row;
    return state;
  }
  return dr__sql_is_char(text, token, ',') ? state : BEHIND_ROWS;
}

/* The comments since the last statement: one on the line on which that one ended belongs to it,
 * unless the next begins on that line too. */
static void share_comments(walk *w, int next_line) {
  dr_sql_script *script = w->script;
  dr_sql_statement *last = script->count ? &script->statements[script->count - 1] : NULL;
  while (last && w->claimed < script->comment_count && w->end_line < next_line &&
         script->comments[w->claimed].line == w->end_line) {
    last->comment_count++;
    w->claimed++;
  }
}

/* Skips to the first word behind `start`; comments on the way are kept. */
static const dr_sql_token *first_word(walk *w, size_t start, size_t end) {
  const char *text = w->script->text;
  for (; w->at < w->tokens->count; w->at++) {
    const dr_sql_token *token = &w->tokens->items[w->at];
    if (token->start >= end) return NULL;
    if (dr__sql_is_comment(text, token))
      add_comment(w, token);
    else if (token->start >= start && !dr__sql_is_char(text, token, ';'))
      return token;
  }
  return NULL;
}

static void take_words(walk *w, dr_sql_statement *statement, size_t end) {
  const char *text = w->script->text;
  depth_meter meter = {0};
  row_state rows = NO_INSERT;
  for (; w->at < w->tokens->count && w->tokens->items[w->at].start < end; w->at++) {
    const dr_sql_token *token = &w->tokens->items[w->at];
    if (dr__sql_is_comment(text, token)) {
      add_comment(w, token);
      continue;
    }
    statement->length = token->end - statement->offset;
    hash_word(&w->hash, text + token->start, token->end - token->start);
    size_t before = meter.open + meter.deeper;
    measure(&meter, text, token);
    size_t after = meter.open + meter.deeper;
    rows = find_rows(rows, statement, text, token, before < after ? before : after);
    statement->words++;
  }
  statement->depth = meter.most;
  hash_word(&w->hash, ";", 1);
}

static void take_statement(walk *w, size_t start, size_t end) {
  dr_sql_script *script = w->script;
  const dr_sql_token *first = first_word(w, start, end);
  if (!first) return;
  count_lines(w, first->start);
  share_comments(w, w->line);
  dr_sql_statement *statement = &script->statements[script->count++];
  *statement = (dr_sql_statement){.offset = first->start,
                                  .line = w->line,
                                  .column = column_of(w, first->start),
                                  .comments = w->claimed};
  take_words(w, statement, end);
  count_lines(w, statement->offset + statement->length);
  w->end_line = w->line;
  w->claimed = script->comment_count;
  statement->comment_count = w->claimed - statement->comments;
}

static void take_statements(dr_sql_script *script, const dr_sql_tokens *tokens,
                            const PgQuerySplitResult *split) {
  walk w = {.script = script, .tokens = tokens, .line = 1};
  dr__sha256_init(&w.hash);
  for (int i = 0; i < split->n_stmts; i++) {
    size_t start = (size_t)split->stmts[i]->stmt_location;
    size_t length = (size_t)split->stmts[i]->stmt_len;
    take_statement(&w, start, length ? start + length : script->length);
  }
  first_word(&w, script->length, script->length);
  share_comments(&w, INT_MAX);
  dr__sha256_hex(&w.hash, script->hash);
}

/* ------------------------------------------------------------ reading */

static int make_room(dr_sql_script *script, const dr_sql_tokens *tokens, int statements,
                     dr_err *err) {
  size_t comments = 0;
  for (size_t i = 0; i < tokens->count; i++)
    comments += dr__sql_is_comment(script->text, &tokens->items[i]);
  script->statements = calloc((size_t)statements + 1, sizeof *script->statements);
  script->comments = calloc(comments + 1, sizeof *script->comments);
  return script->statements && script->comments ? DR_OK : dr__err_nomem(err);
}

static int split(dr_sql_script *script, const dr_sql_tokens *tokens, dr_err *err) {
  PgQuerySplitResult result = pg_query_split_with_parser(script->text);
  int status = DR_OK;
  if (result.error) {
    dr_sql_mistake mistake;
    dr__sql_mistake_set(&mistake, script->text, script->length, result.error->message,
                        result.error->cursorpos);
    status = dr__sql_script_error(script, &mistake, err);
  } else {
    status = make_room(script, tokens, result.n_stmts, err);
    if (status == DR_OK) take_statements(script, tokens, &result);
  }
  pg_query_free_split_result(result);
  return status;
}

/* pg_dump brackets what it writes with \restrict and \unrestrict, which tell psql to take no other
 * commands in between. They say nothing to a server, so the lines become blanks. Only where the
 * scanner finds a backslash, or stumbles over the key, is a line sure to be no part of a text. */
static bool blank_restrict(dr_sql_script *script, size_t offset) {
  static const char *const commands[] = {"\\restrict ", "\\unrestrict "};
  char *line = script->text + offset;
  if (offset > 0 && line[-1] != '\n') return false;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    size_t word = strlen(commands[i]);
    if (strncmp(line, commands[i], word) != 0) continue;
    size_t key =
        strspn(line + word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    size_t end = strcspn(line, "\r\n");
    if (key == 0 || word + key != end) return false;
    memset(line, ' ', end);
    return true;
  }
  return false;
}

static bool blank_restricts(dr_sql_script *script, const dr_sql_tokens *tokens) {
  bool any = false;
  for (size_t i = 0; i < tokens->count; i++) {
    if (dr__sql_is_char(script->text, &tokens->items[i], '\\'))
      any |= blank_restrict(script, tokens->items[i].start);
  }
  return any;
}

static size_t line_start(const char *text, size_t offset) {
  while (offset > 0 && text[offset - 1] != '\n') offset--;
  return offset;
}

enum { MOST_RESTRICTS = 8 }; /* a dump has two */

static int scan(dr_sql_script *script, dr_sql_tokens *tokens, dr_err *err) {
  for (int i = 0;; i++) {
    dr_sql_mistake mistake = {0};
    int status = dr__sql_scan(script->text, script->length, tokens, &mistake, err);
    bool stumbled = mistake.message[0] != '\0';
    if (status != DR_OK && !stumbled) return status;
    bool again = i < MOST_RESTRICTS &&
                 (stumbled ? blank_restrict(script, line_start(script->text, mistake.offset))
                           : blank_restricts(script, tokens));
    if (!again) return stumbled ? dr__sql_script_error(script, &mistake, err) : DR_OK;
    free(tokens->items);
    *tokens = (dr_sql_tokens){0};
  }
}

int dr__sql_split(const char *sql, size_t length, dr_sql_script *out, dr_err *err) {
  *out = (dr_sql_script){0};
  dr_sql_tokens tokens = {0};
  int status = take_text(out, sql, length, err);
  if (status == DR_OK) status = scan(out, &tokens, err);
  if (status == DR_OK) status = split(out, &tokens, err);
  free(tokens.items);
  if (status == DR_OK) status = dr__sql_add_facts(out, err);
  return status;
}

void dr__sql_script_free(dr_sql_script *script) {
  free(script->text);
  free(script->statements);
  free(script->comments);
  *script = (dr_sql_script){0};
}

int dr__sql_hash(const char *sql, size_t length, char hash[DR_SQL_HASH_SIZE], dr_err *err) {
  dr_sql_script script;
  int status = dr__sql_split(sql, length, &script, err);
  if (status == DR_OK) memcpy(hash, script.hash, DR_SQL_HASH_SIZE);
  dr__sql_script_free(&script);
  return status;
}

char *dr__sql_text(const dr_sql_script *script, size_t index) {
  const dr_sql_statement *statement = &script->statements[index];
  return strndup(script->text + statement->offset, statement->length);
}
