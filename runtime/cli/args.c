/* cli/args.c - reads the command line (args.h). Called by main.c. Options may stand anywhere; "--"
 * ends them. */
#include "args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ errors and near names */

/* Fills err with `before`, the word it is about, `after`; a hint that is there already is kept. */
static int usage(dr_err *err, const char *before, const char *word, const char *after) {
  snprintf(err->code, sizeof err->code, "usage.arguments");
  snprintf(err->message, sizeof err->message, "%s%s%s", before, word, after);
  if (err->hint[0] == '\0') snprintf(err->hint, sizeof err->hint, "see `deployrun --help`");
  return DR_USAGE;
}

enum { LONGEST = 31 }; /* of the words that are compared */

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t cli_distance(const char *a, const char *b) {
  size_t rows[3][LONGEST + 1];
  size_t n = strlen(a);
  size_t m = strlen(b);
  if (n > LONGEST || m > LONGEST) return n > m ? n : m;
  for (size_t j = 0; j <= m; j++) rows[0][j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t *row = rows[i % 3];
    const size_t *last = rows[(i - 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      row[j] = last[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = least(row[j], least(last[j], row[j - 1]) + 1);
      bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swap) row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
    }
  }
  return rows[n % 3][m];
}

/* ------------------------------------------------------------ tables */

static const char *const commands[] = {
    [CLI_RUN] = "",        [CLI_LIST] = "list", [CLI_SHOW] = "show",
    [CLI_CHECK] = "check", [CLI_HELP] = "help", [CLI_VERSION] = "version",
};
enum { COMMANDS = sizeof commands / sizeof *commands };

typedef enum option_id {
  OPTION_DRY_RUN,
  OPTION_SET_FILE,
  OPTION_ENV_FILE,
  OPTION_JSON,
  OPTION_NO_COLOR,
  OPTION_VERBOSE,
  OPTION_QUIET,
  OPTION_HELP,
  OPTION_VERSION
} option_id;

typedef struct option {
  option_id id;
  const char *name;
  char letter;     /* or 0 */
  bool takes_file; /* the next word, or what stands after "=" */
  bool only_run;   /* makes sense with a recipe to run only */
} option;

static const option options[] = {
    {OPTION_DRY_RUN, "--dry-run", 0, false, true},
    {OPTION_SET_FILE, "--set-file", 0, true, true},
    {OPTION_ENV_FILE, "--env-file", 0, true, true},
    {OPTION_JSON, "--json", 0, false, false},
    {OPTION_NO_COLOR, "--no-color", 0, false, false},
    {OPTION_VERBOSE, "--verbose", 'v', false, false},
    {OPTION_QUIET, "--quiet", 'q', false, false},
    {OPTION_HELP, "--help", 'h', false, false},
    {OPTION_VERSION, "--version", 0, false, false},
};
enum { OPTIONS = sizeof options / sizeof *options };

const char *cli_near_command(const char *word) {
  for (size_t i = CLI_LIST; i < COMMANDS; i++) {
    size_t distance = cli_distance(word, commands[i]);
    if (distance > 0 && distance <= 2 && distance < strlen(commands[i]) - 1) return commands[i];
  }
  return NULL;
}

/* ------------------------------------------------------------ reading */

typedef struct reader {
  cli_args *args;
  dr_err *err;
  int argc;
  char **argv;
  int at;
  bool words_only;      /* after "--" */
  bool command_known;   /* the first word was seen */
  const char *only_run; /* an option that makes sense for a run only, if given */
  bool help;
  bool version;
} reader;

static int add_word(reader *in, cli_words *words, const char *word) {
  if (words->items == NULL) words->items = calloc((size_t)in->argc, sizeof *words->items);
  if (words->items == NULL) return usage(in->err, "not enough memory", "", "");
  words->items[words->count++] = word;
  return DR_OK;
}

static int unknown_option(reader *in, const char *word) {
  size_t length = strcspn(word, "=");
  char name[LONGEST + 1];
  snprintf(name, sizeof name, "%.*s", (int)least(length, LONGEST), word);
  const char *near = NULL;
  size_t best = 4;
  for (size_t i = 0; i < OPTIONS; i++) {
    size_t distance = cli_distance(name, options[i].name);
    if (distance >= best) continue;
    best = distance;
    near = options[i].name;
  }
  if (near != NULL) {
    snprintf(in->err->hint, sizeof in->err->hint, "did you mean %s?", near);
  } else if (strchr(word, '=') != NULL && strncmp(word, "--", 2) == 0) {
    snprintf(in->err->hint, sizeof in->err->hint,
             "params are written without dashes: %s; see `deployrun --help` for the options",
             word + 2);
  }
  return usage(in->err, "unknown option ", word, "");
}

static int apply(reader *in, const option *found, const char *file) {
  cli_args *args = in->args;
  if (found->only_run) in->only_run = found->name;
  switch (found->id) {
  case OPTION_DRY_RUN: args->dry_run = true; break;
  case OPTION_SET_FILE: return add_word(in, &args->set_files, file);
  case OPTION_ENV_FILE: return add_word(in, &args->env_files, file);
  case OPTION_JSON: args->json = true; break;
  case OPTION_NO_COLOR: args->no_color = true; break;
  case OPTION_VERBOSE: args->loudness = UI_VERBOSE; break;
  case OPTION_QUIET: args->loudness = UI_QUIET; break;
  case OPTION_HELP: in->help = true; break;
  case OPTION_VERSION: in->version = true; break;
  }
  return DR_OK;
}

/* "--set-file F", "--set-file=F", "--json". */
static int read_long(reader *in, const char *word) {
  size_t length = strcspn(word, "=");
  const option *found = NULL;
  for (size_t i = 0; i < OPTIONS; i++) {
    bool same = strlen(options[i].name) == length && strncmp(options[i].name, word, length) == 0;
    if (same) found = &options[i];
  }
  if (found == NULL) return unknown_option(in, word);
  const char *file = word[length] == '=' ? word + length + 1 : NULL;
  if (!found->takes_file) {
    return file == NULL ? apply(in, found, NULL)
                        : usage(in->err, "", found->name, " takes no value");
  }
  if (file == NULL && in->at < in->argc) file = in->argv[in->at++];
  if (file == NULL || *file == '\0') return usage(in->err, "", found->name, " needs a file");
  return apply(in, found, file);
}

/* "-v", "-qv". */
static int read_letters(reader *in, const char *word) {
  for (const char *letter = word + 1; *letter != '\0'; letter++) {
    const option *found = NULL;
    for (size_t i = 0; i < OPTIONS; i++) {
      if (options[i].letter == *letter) found = &options[i];
    }
    if (found == NULL) return unknown_option(in, word);
    (void)apply(in, found, NULL);
  }
  return DR_OK;
}

/* "key=value"; a path with "=" in a folder's name is none. */
static bool is_param(const char *word) {
  size_t key = strcspn(word, "=/");
  return key > 0 && word[key] == '=';
}

/* A word after the recipe that is no param. */
static int stray_word(reader *in, const char *word) {
  const char *recipe = in->args->recipes.items[0];
  const char *near = cli_near_command(recipe);
  if (strcmp(recipe, "run") == 0) {
    snprintf(in->err->hint, sizeof in->err->hint,
             "a recipe is run by its name alone: `deployrun %s`", word);
  } else if (near != NULL) {
    snprintf(in->err->hint, sizeof in->err->hint, "did you mean `deployrun %s %s`?", near, word);
  } else {
    snprintf(in->err->hint, sizeof in->err->hint,
             "params are written key=value; `deployrun show %s` lists them", recipe);
  }
  return usage(in->err, "\"", word, "\" is not a param");
}

/* A param; of one that is given twice nobody can tell which was meant. */
static int add_param(reader *in, const char *word) {
  cli_words *params = &in->args->params;
  size_t length = strcspn(word, "=");
  for (size_t i = 0; i < params->count; i++) {
    char name[128];
    if (strncmp(params->items[i], word, length + 1) != 0) continue;
    snprintf(name, sizeof name, "%.*s", (int)least(length, sizeof name), word);
    snprintf(in->err->hint, sizeof in->err->hint, "give it once; it wins over --set-file");
    return usage(in->err, "the param ", name, " is given twice");
  }
  return add_word(in, params, word);
}

static int read_word(reader *in, const char *word) {
  cli_args *args = in->args;
  if (!in->command_known) {
    in->command_known = true;
    for (int i = CLI_LIST; i < COMMANDS; i++) {
      if (strcmp(word, commands[i]) != 0) continue;
      args->command = (cli_command)i;
      return DR_OK;
    }
    if (is_param(word)) {
      snprintf(in->err->hint, sizeof in->err->hint,
               "the recipe comes first: `deployrun RECIPE %s`; `deployrun list` names them", word);
      return usage(in->err, "there is no recipe before ", word, "");
    }
    return add_word(in, &args->recipes, word);
  }
  if (args->command == CLI_RUN) {
    return is_param(word) ? add_param(in, word) : stray_word(in, word);
  }
  if (args->command == CLI_HELP || args->command == CLI_VERSION) return DR_OK;
  bool takes =
      args->command == CLI_CHECK || (args->command == CLI_SHOW && args->recipes.count == 0);
  if (!takes) return usage(in->err, "what is \"", word, "\" for? One word too many");
  return add_word(in, &args->recipes, word);
}

static int read_one(reader *in) {
  const char *word = in->argv[in->at++];
  if (in->words_only || word[0] != '-' || word[1] == '\0') return read_word(in, word);
  if (strcmp(word, "--") == 0) {
    in->words_only = true;
    return DR_OK;
  }
  return word[1] == '-' ? read_long(in, word) : read_letters(in, word);
}

/* What is missing or does not go together, when all words are read. */
static int judge(reader *in) {
  cli_args *args = in->args;
  if (in->help) args->command = CLI_HELP;
  if (in->version) args->command = CLI_VERSION;
  bool needs = args->command == CLI_SHOW || args->command == CLI_CHECK;
  if (needs && args->recipes.count == 0) {
    snprintf(in->err->hint, sizeof in->err->hint,
             "give its name (`deployrun list`) or the path of its file");
    return usage(in->err, commands[args->command], " needs a recipe", "");
  }
  if (args->command == CLI_RUN && args->recipes.count == 0) {
    snprintf(in->err->hint, sizeof in->err->hint,
             "`deployrun list` names the bundled recipes, `deployrun --help` explains the rest");
    return usage(in->err, "which recipe?", "", "");
  }
  if (args->command != CLI_RUN && args->command < CLI_HELP && in->only_run != NULL) {
    return usage(in->err, in->only_run, " goes with a recipe to run only", "");
  }
  return DR_OK;
}

int cli_args_read(cli_args *args, int argc, char **argv, dr_err *err) {
  *args = (cli_args){.command = CLI_RUN, .loudness = UI_NORMAL};
  reader in = {.args = args, .err = err, .argc = argc, .argv = argv, .at = 1};
  int status = DR_OK;
  while (in.at < argc && status == DR_OK) status = read_one(&in);
  return status != DR_OK ? status : judge(&in);
}

void cli_args_free(cli_args *args) {
  free(args->recipes.items);
  free(args->params.items);
  free(args->set_files.items);
  free(args->env_files.items);
  *args = (cli_args){.command = CLI_RUN};
}
