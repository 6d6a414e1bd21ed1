/* postgres/scan.h - the words of an SQL text, by PostgreSQL's own scanner (libpg_query). Pure, any
 * thread. Used by statements.c. */
#ifndef DR_POSTGRES_SCAN_H
#define DR_POSTGRES_SCAN_H

#include <deployrun.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dr_sql_token {
  uint32_t start; /* bytes into the text */
  uint32_t end;
} dr_sql_token;

typedef struct dr_sql_tokens {
  dr_sql_token *items; /* malloc'd; comments are among them */
  size_t count;
} dr_sql_tokens;

/* Where and why a text is no SQL, before it becomes a dr_err. */
typedef struct dr_sql_mistake {
  char message[256]; /* of PostgreSQL, "" for none */
  size_t offset;     /* bytes into the text */
} dr_sql_mistake;

/* Takes an error of libpg_query over: its place is counted in characters from 1, 0 for none. */
void dr__sql_mistake_set(dr_sql_mistake *mistake, const char *text, size_t length,
                         const char *message, int cursor);

/* Scans a NUL-terminated text. DR_FAILED with either the mistake set or, for out_of_memory, err
 * filled. The caller frees out->items. */
int dr__sql_scan(const char *text, size_t length, dr_sql_tokens *out, dr_sql_mistake *mistake,
                 dr_err *err);

static inline bool dr__sql_is_comment(const char *text, const dr_sql_token *token) {
  const char *at = text + token->start;
  return token->end - token->start >= 2 &&
         ((at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*'));
}

/* True for the one-character word `c`. */
static inline bool dr__sql_is_char(const char *text, const dr_sql_token *token, char c) {
  return token->end - token->start == 1 && text[token->start] == c;
}

/* True when the token is this keyword, written in capitals, in any case. */
bool dr__sql_is_word(const char *text, const dr_sql_token *token, const char *word);

#endif
