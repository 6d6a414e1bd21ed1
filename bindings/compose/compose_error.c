/* compose_error.c - see compose_error.h. Pure, any thread. */
#include "compose_error.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ where it is wrong */

typedef struct place {
  char file[200];
  long line; /* 0: not told */
} place;

/* The text between `before` and the first of `ends` behind it. */
static bool between(const char *text, const char *before, const char *ends, char *out,
                    size_t size) {
  const char *at = strstr(text, before);
  if (!at) return false;
  at += strlen(before);
  size_t length = strcspn(at, ends);
  if (length == 0 || length >= size || !at[length]) return false;
  memcpy(out, at, length);
  out[length] = '\0';
  return true;
}

/* Behind the last place where the text has `part`; NULL when it has none. The YAML reader tells
 * first where it began, then where it stopped. */
static const char *behind_last(const char *text, const char *part) {
  const char *found = NULL;
  for (text = strstr(text, part); text; text = strstr(text, part)) found = text += strlen(part);
  return found;
}

static void find_place(const char *text, place *out) {
  static const char *const files[][2] = {{"  in \"", "\"\n"},       /* YAML, version 1 */
                                         {"Compose file '", "'\n"}, /* version 1 */
                                         {"validating ", ":\n"},    /* version 2 */
                                         {"parsing ", ":\n"},       /* version 2 */
                                         {"failed to parse ", ":\n"}};
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < sizeof files / sizeof *files && !out->file[0]; i++)
    between(text, files[i][0], files[i][1], out->file, sizeof out->file);
  const char *line = behind_last(text, "\", line ");
  if (!line) line = behind_last(text, "yaml: line ");
  if (!line) line = behind_last(text, "construct errors:\n  line ");
  out->line = line ? strtol(line, NULL, 10) : 0;
}

/* ------------------------------------------------------------ what is wrong */

/* The line of the text that says most: the last that begins flush and is no note of a place. */
static void find_reason(const char *text, char *out, size_t size) {
  char line[400];
  out[0] = '\0';
  while (*text) {
    size_t length = strcspn(text, "\n");
    snprintf(line, sizeof line, "%.*s", (int)(length < 399 ? length : 399), text);
    text += length + (text[length] == '\n');
    bool note = line[0] == '\0' || line[0] == ' ' || strncmp(line, "WARN", 4) == 0 ||
                strncmp(line, "time=", 5) == 0;
    if (!note) dr__copy_text(out, size, strncmp(line, "ERROR: ", 7) == 0 ? line + 7 : line);
  }
}

static void invalid(dr_err *err, const char *text) {
  place at;
  char reason[400];
  char line[32] = "";
  find_place(text, &at);
  find_reason(text, reason, sizeof reason);
  if (at.line > 0) snprintf(line, sizeof line, "%sline %ld", at.file[0] ? ", " : " ", at.line);
  dr_err known = DR_ERR_INIT;
  dr__err_move(&known, err);
  dr__fail(err, "compose.invalid", "the compose file%s%s%s is wrong: %s", at.file[0] ? " " : "",
           at.file, line, reason);
  dr__err_hint(err, "correct it: `docker compose config` in its folder shows the same message");
  if (known.detail) dr__err_detail(err, known.detail, strlen(known.detail));
  dr_err_clear(&known);
}

/* ------------------------------------------------------------ kinds */

typedef struct meaning {
  const char *part;
  const char *code;
  const char *hint; /* NULL: the file is wrong */
} meaning;

#define SERVICE_HINT                                                                               \
  "look at the services of the compose file, and at the recipe's params that name them"
#define ENGINE_HINT "start the Docker Engine there, or log in as a user who may use it"
#define FILE_HINT "is the folder right (dir =), and the name of the file (file =)?"

/* The first that fits. */
static const meaning meanings[] = {
    {"No such service", "compose.no_such_service", SERVICE_HINT},
    {"no such service", "compose.no_such_service", SERVICE_HINT},
    {"Cannot connect to the Docker daemon", "docker.unreachable", ENGINE_HINT},
    {"Couldn't connect to Docker daemon", "docker.unreachable", ENGINE_HINT},
    {"Can't find a suitable configuration", "compose.file", FILE_HINT},
    {"no configuration file", "compose.file", FILE_HINT},
    {"FileNotFoundError: [Errno 2] No such file or directory: ", "compose.file", FILE_HINT},
    {".yml: no such file or directory", "compose.file", FILE_HINT},
    {".yaml: no such file or directory", "compose.file", FILE_HINT},
    {"yaml", "compose.invalid", NULL},
    {"The Compose file", "compose.invalid", NULL},
    {"Unsupported config option", "compose.invalid", NULL},
    {"dditional propert", "compose.invalid", NULL},
    {"validating ", "compose.invalid", NULL},
    {"invalid compose project", "compose.invalid", NULL},
    {"nvalid interpolation format", "compose.invalid", NULL},
    {"Missing mandatory value", "compose.invalid", NULL},
    {"required variable", "compose.invalid", NULL},
    {"undefined network", "compose.invalid", NULL},
    {"undefined volume", "compose.invalid", NULL},
    {NULL, NULL, NULL},
};

void dr__compose_explain(dr_err *err, const char *text) {
  const meaning *it = meanings;
  while (it->part && !strstr(text, it->part)) it++;
  if (!it->part) return;
  if (!it->hint) {
    invalid(err, text);
    return;
  }
  dr__copy_text(err->code, sizeof err->code, it->code);
  dr__err_hint(err, "%s", it->hint);
}
