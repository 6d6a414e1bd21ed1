/* postgres/statements.h - SQL scripts, read by PostgreSQL's own scanner and parser (libpg_query):
 * which statements there are, where, with what comments before them, and which of them cannot run
 * inside a transaction block. Pure: no I/O, no Lua, any thread, no shared state; fuzzed. Used by
 * the classifier (hazards.h) and by migrations. What libpg_query does not do, and what is done
 * about it: docs/decisions/0027.
 */
#ifndef DR_POSTGRES_STATEMENTS_H
#define DR_POSTGRES_STATEMENTS_H

#include <deployrun.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { DR_SQL_MAX_BYTES = 32 << 20, DR_SQL_HASH_SIZE = 65 };

/* What a statement does to the transaction it runs in. */
typedef enum dr_sql_control {
  DR_SQL_PLAIN,
  DR_SQL_BEGIN,     /* BEGIN, START TRANSACTION */
  DR_SQL_COMMIT,    /* COMMIT, END */
  DR_SQL_ROLLBACK,  /* ROLLBACK, ABORT */
  DR_SQL_SAVEPOINT, /* SAVEPOINT, RELEASE, ROLLBACK TO: fine inside a transaction block */
  DR_SQL_PREPARED,  /* PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED */
} dr_sql_control;

typedef struct dr_sql_statement {
  size_t offset;   /* bytes into the script's text: of the first word, behind comments */
  size_t length;   /* up to its last word; neither the ";" nor comments behind it */
  int line;        /* of the first word, from 1 */
  int column;      /* of the first word, in characters, from 1 */
  size_t comments; /* first of its comments in dr_sql_script.comments; they stand between the
                    * statement before and this one, or inside it */
  size_t comment_count;
  dr_sql_control control;
  const char *alone; /* why it cannot run inside a transaction block; NULL: it can. Static text */
  size_t depth;      /* at most so many levels has its parse tree */
  size_t words;
  size_t first_row; /* of INSERT … VALUES (…), (…): its bytes up to the end of the first row, and */
  size_t last_row; /* of the last; 0 for others */
} dr_sql_statement;

typedef struct dr_sql_comment {
  size_t offset; /* with its marks: "-- …" without the line end, or the whole of a block comment */
  size_t length;
  int line;
} dr_sql_comment;

/* A script that was read. All offsets are into `text`, which the script owns. */
typedef struct dr_sql_script {
  char *text; /* as given, without a byte order mark; NUL-terminated */
  size_t length;
  dr_sql_statement *statements; /* empty statements are left out */
  size_t count;
  dr_sql_comment *comments; /* all, in order */
  size_t comment_count;
  char hash[DR_SQL_HASH_SIZE]; /* SHA-256 in hex of the statements' words: comments, white space,
                                * line ends, empty statements, the last ";" and the case of words
                                * outside of quotes do not matter */
} dr_sql_script;

/* Reads a script; `out` is filled, and released by dr__sql_script_free() whether or not this
 * succeeded. A script without statements is fine. Errors:
 *   postgres.syntax        no SQL; the message has line and column
 *   postgres.encoding      not UTF-8, or a zero byte; the message has the line
 *   postgres.meta_command  a command of psql (\i, \connect …), which the server does not know
 *   postgres.copy_data     COPY … FROM STDIN or TO STDOUT: rows cannot stand in a script
 *   postgres.too_large     more than DR_SQL_MAX_BYTES
 *   out_of_memory */
int dr__sql_split(const char *sql, size_t length, dr_sql_script *out, dr_err *err);

/* Safe to call twice, and on a zeroed struct. */
void dr__sql_script_free(dr_sql_script *script);

/* The statement's parse tree as libpg_query gives it: {"SelectStmt": {…}}. Of an INSERT of many
 * rows only the first is in it: a tree takes about 200 times the memory of its text. New reference;
 * NULL with err filled (postgres.too_large: too many words for a tree, or nested too deep;
 * out_of_memory). */
json_t *dr__sql_tree(const dr_sql_script *script, size_t index, dr_err *err);

/* The PL/pgSQL of a DO, by the fields of its node, as libpg_query gives it: an array of
 * {"PLpgSQL_function": …}. New reference; NULL with err filled: postgres.syntax when it is in
 * another language or wrong, postgres.too_large, out_of_memory. */
json_t *dr__sql_block(const json_t *fields, dr_err *err);

/* The statement's text, malloc'd; NULL when memory is short. */
char *dr__sql_text(const dr_sql_script *script, size_t index);

/* Only the hash of a script, as in dr_sql_script. */
int dr__sql_hash(const char *sql, size_t length, char hash[DR_SQL_HASH_SIZE], dr_err *err);

#endif
