/* hazard_rows.h - the table of hazards that two tests read: hazards/table.txt. test_sql_hazards.c
 * compares each row with the classifier, tests/bindings/hazards.c with a server. */
#ifndef DR_TEST_HAZARD_ROWS_H
#define DR_TEST_HAZARD_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct hazard_row {
  int line; /* in table.txt */
  char *kind;
  char *class;
  char *locks; /* "orders ACCESS EXCLUSIVE, customers SHARE ROW EXCLUSIVE", or "-" */
  char *
      work; /* words: scan rewrite loses alone; behind them what a server does not show, with "!" */
  char *sql; /* the last statement is the one that is judged */
} hazard_row;

typedef struct hazard_rows {
  char *text;
  hazard_row *items;
  size_t count;
} hazard_rows;

/* The text of a file in tests/unit/hazards; malloc'd. Ends the program when it cannot be read. */
char *hazard_file(const char *name);

void hazard_rows_read(hazard_rows *rows);
void hazard_rows_free(hazard_rows *rows);

/* True when the word stands in `work`. */
bool hazard_row_has(const hazard_row *row, const char *word);

/* The columns of orders, as the classifier takes them; those of other tables are not told. */
json_t *hazard_catalog(void);

#endif
