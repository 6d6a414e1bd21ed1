/* hazard_rows.c - reads the table of hazards. */
#include "hazard_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *hazard_file(const char *name) {
  char path[4096];
  const char *source = getenv("DEPLOYRUN_SOURCE_DIR");
  snprintf(path, sizeof path, "%s/tests/unit/hazards/%s", source ? source : ".", name);
  FILE *file = fopen(path, "r");
  char *text = NULL;
  size_t size = 0;
  if (!file || getdelim(&text, &size, '\0', file) < 0) {
    fprintf(stderr, "%s cannot be read\n", path);
    exit(1);
  }
  fclose(file);
  return text;
}

/* The next field of a row, without blanks around it; `more` goes behind it. */
static char *field(char **more) {
  char *start = *more;
  char *end = strchr(start, '|');
  if (end) {
    *end = '\0';
    *more = end + 1;
  } else {
    end = start + strlen(start);
    *more = end;
  }
  while (*start == ' ') start++;
  while (end > start && end[-1] == ' ') *--end = '\0';
  return start;
}

void hazard_rows_read(hazard_rows *rows) {
  *rows = (hazard_rows){.text = hazard_file("table.txt")};
  int number = 0;
  for (char *next = rows->text, *line; (line = strsep(&next, "\n")) != NULL;) {
    number++;
    if (!*line || *line == '#') continue;
    rows->items = realloc(rows->items, (rows->count + 1) * sizeof *rows->items);
    hazard_row *row = &rows->items[rows->count++];
    row->line = number;
    row->kind = field(&line);
    row->class = field(&line);
    row->locks = field(&line);
    row->work = field(&line);
    while (*line == ' ') line++;
    row->sql = line;
  }
}

void hazard_rows_free(hazard_rows *rows) {
  free(rows->items);
  free(rows->text);
}

bool hazard_row_has(const hazard_row *row, const char *word) {
  size_t length = strlen(word);
  for (const char *at = row->work; (at = strstr(at, word)) != NULL; at += length) {
    bool begins = at == row->work || at[-1] == ' ';
    if (begins && (at[length] == ' ' || !at[length])) return true;
  }
  return false;
}

json_t *hazard_catalog(void) {
  static const char *const columns[][2] = {{"customer", "integer"},
                                           {"amount", "numeric(10,2)"},
                                           {"note", "character varying(20)"},
                                           {"short", "character varying(5)"},
                                           {"words", "text"},
                                           {"code", "character(4)"},
                                           {"flags", "bit varying(4)"},
                                           {"small", "smallint"},
                                           {"big", "bigint"},
                                           {"ratio", "real"},
                                           {"at", "timestamp(3) without time zone"},
                                           {"took", "interval(3)"},
                                           {"host", "cidr"},
                                           {"body", "json"},
                                           {"tags", "text[]"},
                                           {"state", "state"},
                                           {"rank", "positive"},
                                           {"twice", "integer"}};
  json_t *orders = json_object();
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
    bool required = strcmp(columns[i][0], "short") == 0;
    bool checked = strcmp(columns[i][0], "small") == 0;
    json_object_set_new(orders, columns[i][0],
                        json_pack("{s:s, s:b, s:b}", "type", columns[i][1], "not_null", required,
                                  "checked", checked));
  }
  return json_pack("{s:o}", "public.orders", orders);
}
