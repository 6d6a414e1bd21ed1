/* sql_words.h - makes SQL of fuzzed bytes: most stand for a word, so that what comes out often
 * parses.
 */
#ifndef DR_FUZZ_SQL_WORDS_H
#define DR_FUZZ_SQL_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const sql_words[] = {"ALTER TABLE t ",
                                        "ADD COLUMN ",
                                        "ADD CONSTRAINT c ",
                                        "DROP COLUMN ",
                                        "ALTER COLUMN a ",
                                        "TYPE ",
                                        "SET NOT NULL",
                                        "SET DEFAULT ",
                                        "DROP DEFAULT",
                                        "NOT NULL ",
                                        "DEFAULT ",
                                        "REFERENCES u ",
                                        "CHECK (",
                                        "NOT VALID ",
                                        "UNIQUE ",
                                        "PRIMARY KEY ",
                                        "USING INDEX i",
                                        "VALIDATE CONSTRAINT c",
                                        "RENAME TO ",
                                        "RENAME COLUMN a TO ",
                                        "a ",
                                        "b ",
                                        "t ",
                                        "s.t ",
                                        "\"x\" ",
                                        "'x' ",
                                        "1 ",
                                        "integer ",
                                        "text ",
                                        "varchar(5) ",
                                        "numeric(5,2) ",
                                        "timestamp(3) ",
                                        "serial ",
                                        "integer[] ",
                                        "CREATE TABLE ",
                                        "IF NOT EXISTS ",
                                        "IF EXISTS ",
                                        "CREATE INDEX ",
                                        "CREATE UNIQUE INDEX ",
                                        "CONCURRENTLY ",
                                        "ON ",
                                        "DROP TABLE ",
                                        "DROP INDEX ",
                                        "DROP TYPE ",
                                        "DROP FUNCTION f()",
                                        "DROP SCHEMA s",
                                        "CREATE TYPE e AS ENUM ('a')",
                                        "ALTER TYPE e ADD VALUE ",
                                        "ALTER TYPE e RENAME VALUE 'a' TO 'b'",
                                        "CREATE VIEW v AS ",
                                        "CREATE OR REPLACE VIEW v AS ",
                                        "SELECT ",
                                        "FROM ",
                                        "WHERE ",
                                        "INSERT INTO t ",
                                        "VALUES (",
                                        "UPDATE t SET a = ",
                                        "DELETE FROM t ",
                                        "WITH w AS (",
                                        "UNION ALL ",
                                        "TRUNCATE t",
                                        "LOCK TABLE t",
                                        "DO $$ ",
                                        "BEGIN ",
                                        "END ",
                                        "$$ ",
                                        "IF ",
                                        "THEN ",
                                        "END IF; ",
                                        "EXECUTE ",
                                        "PERFORM ",
                                        "DECLARE n int := ",
                                        "LOOP ",
                                        "END LOOP; ",
                                        "EXCEPTION WHEN ",
                                        "others ",
                                        "NULL; ",
                                        "COMMIT",
                                        "ROLLBACK",
                                        "SAVEPOINT a",
                                        "f(",
                                        "now()",
                                        "COPY t ",
                                        "FROM stdin",
                                        "TO stdout",
                                        "\\i x",
                                        "-- deployrun: accept ",
                                        "drop-table",
                                        "drop-column, ",
                                        ": why\n",
                                        "/* ",
                                        " */ ",
                                        "--\n",
                                        "\n",
                                        "; ",
                                        ";",
                                        "(",
                                        ")",
                                        ", ",
                                        "= ",
                                        "+ ",
                                        "::",
                                        "FOREIGN KEY (a) ",
                                        "PARTITION OF p ",
                                        "FOR VALUES IN (1)",
                                        "INHERITS (p)",
                                        "ATTACH PARTITION p ",
                                        "DETACH PARTITION p ",
                                        "OWNER TO x",
                                        "SET SCHEMA s",
                                        "GRANT ",
                                        "REVOKE ",
                                        "ALL ON t TO x",
                                        "VACUUM ",
                                        "FULL ",
                                        "ANALYZE ",
                                        "CLUSTER ",
                                        "REINDEX TABLE t",
                                        "REFRESH MATERIALIZED VIEW v",
                                        "COMMENT ON TABLE t IS ",
                                        "CREATE FUNCTION f() RETURNS int LANGUAGE sql ",
                                        "BEGIN ATOMIC ",
                                        "AS ",
                                        "EXPLAIN ",
                                        "CALL f()",
                                        "SET a = 1",
                                        "ALTER DOMAIN d ",
                                        "CREATE DOMAIN d AS ",
                                        "ALTER SEQUENCE q ",
                                        "CREATE TRIGGER g ",
                                        "CREATE RULE r AS ON "};

enum { SQL_WORDS = sizeof sql_words / sizeof *sql_words };

/* After an odd first byte the bytes as they are, else words: a byte above them stands for itself
 * minus their number. malloc'd. */
static inline char *sql_of(const uint8_t *input, size_t size, size_t *length) {
  char *text = calloc(size + 1, 64), *end = text;
  bool words = size > 0 && input[0] % 2 == 0;
  for (size_t i = 1; text && i < size; i++) {
    if (words && input[i] < SQL_WORDS)
      end = stpcpy(end, sql_words[input[i]]);
    else
      *end++ = (char)(words ? input[i] - SQL_WORDS : input[i]);
  }
  *length = (size_t)(end - text);
  return text;
}

/* libpg_query forgets a byte for each PL/pgSQL block that is nested too deep. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-*): the sanitizer's name */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-*) */
const char *__lsan_default_suppressions(void) {
  return "leak:pg_query_raw_parse";
}

#endif
