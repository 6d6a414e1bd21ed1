/* systemd.c - units of a target's systemd: what they are, their journal, and what is done to them
 * at once (enable, disable, reset-failed, daemon-reload).
 *
 * Called by the gate and, through it, systemd.lua; on the runtime's thread. Facts are read by
 * `systemctl show --property=…`, which is made for programs and the same in all versions; what
 * systemctl prints for people is never read, but for the names in list-unit-files when no unit was
 * found. Starting, stopping and reloading stand in systemd_act.c.
 */
#include "systemd.h"

#include "core/err.h"
#include "ops/binding.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_systemd;

enum { UNITS_MAX = 512, NAMED_MAX = 12 };

/* ------------------------------------------------------------ commands */

/* The way to a user's own systemd, also where the login left no environment (sudo, cron, ssh). */
static const char user_script[] =
    "XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; export XDG_RUNTIME_DIR\n"
    "exec systemctl --user \"$@\"\n";

static bool of_user(const dr_op *op) {
  return dr__arg_boolean(op, "user", false);
}

/* `front` with the words behind it; takes over both. */
static json_t *join(json_t *front, json_t *words) {
  int failed = front && words ? json_array_extend(front, words) : -1;
  json_decref(words);
  if (failed == 0) return front;
  json_decref(front);
  return NULL;
}

json_t *dr__systemctl(const dr_op *op, json_t *words) {
  if (!of_user(op)) return join(json_pack("[s]", "systemctl"), words);
  return join(json_pack("[s, s, s, s]", "/bin/sh", "-c", user_script, "sh"), words);
}

json_t *dr__systemd_script(const dr_op *op, const char *script, json_t *words) {
  json_t *text = json_sprintf(
      "%s%s",
      of_user(op) ? "m=--user; XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; "
                    "export XDG_RUNTIME_DIR\n"
                  : "m=\n",
      script);
  return join(json_pack("[s, s, o, s]", "/bin/sh", "-c", text, "sh"), words);
}

int dr__systemd_unit(const dr_op *op, char *name, dr_err *err) {
  const char *given = dr__arg_string(op, "unit", "");
  if (dr__systemd_name(given, name, 256)) return DR_OK;
  dr__fail(err, "recipe.argument", "\"%s\" is no name of a unit", given);
  dr__err_hint(err, "for example \"gunicorn\", \"gunicorn.service\", \"app@1.service\"");
  return DR_FAILED;
}

/* Of all ops but find. */
static int check_unit(const dr_op *op, dr_err *err) {
  char name[256];
  int64_t lines = dr__arg_integer(op, "lines", 100);
  if (lines < 1 || lines > 100000)
    return dr__fail(err, "recipe.argument", ":logs: lines is a number from 1 to 100000");
  return dr__arg(op, "unit") ? dr__systemd_unit(op, name, err) : DR_OK;
}

void dr__systemctl_failed(const dr_op *op, const char *unit, int status, dr_err *err) {
  if (status == 127) {
    dr__fail(err, "systemd.not_running", "there is no systemctl on %s", op->target->name);
    dr__err_hint(err, "in a container there is usually none: name the host itself");
    return;
  }
  const char *said = dr__exec_text(op, 2);
  dr__systemd_explain(err, unit, said);
  if (said[0]) dr__err_detail(err, said, strlen(said));
}

void dr__systemd_name_failure(dr_op *op, dr_err *err) {
  if (strncmp(err->code, "sudo.", 5) != 0) return;
  const char *verb = strchr(op->spec->name, '.') + 1;
  dr__err_hint(err,
               "in /etc/sudoers.d: USER ALL=(root) NOPASSWD: /usr/bin/systemctl, and /bin/sh for "
               "looking at units; %s is done by systemctl --no-block",
               verb);
}

static char *preview_words(const dr_op *op, json_t *words) {
  json_t *front =
      of_user(op) ? json_pack("[s, s]", "systemctl", "--user") : json_pack("[s]", "systemctl");
  json_t *command = join(front, words);
  char *line = command ? dr__exec_preview(op, command) : NULL;
  json_decref(command);
  return line;
}

/* ------------------------------------------------------------ status */

int dr__systemd_read(const json_t *result, const char *name, dr_unit *unit, dr_err *err) {
  const char *text = json_string_value(json_object_get(result, "stdout"));
  *unit = (dr_unit){0};
  if (dr__systemd_show(text ? text : "", unit, 1) == 0)
    return dr__fail(err, "systemd.output", "what systemctl says of %s cannot be understood", name);
  if (strcmp(unit->load, "not-found") != 0) return DR_OK;
  dr__systemd_explain(err, name, "not found");
  return DR_FAILED;
}

static json_t *show_command(const dr_op *op, const char *name) {
  json_t *properties = json_sprintf("--property=%s", dr__systemd_properties);
  return dr__systemctl(op,
                       json_pack("[s, s, o, s, s]", "show", "--no-pager", properties, "--", name));
}

static char *preview_status(const dr_op *op) {
  return preview_words(op, json_pack("[s, s]", "show", dr__arg_string(op, "unit", "")));
}

static json_t *parse_status(dr_op *op, int status, json_t *result, dr_err *err) {
  dr_unit unit;
  char name[256];
  json_t *parsed = NULL;
  if (dr__systemd_unit(op, name, err) == DR_OK && status != 0)
    dr__systemctl_failed(op, name, status, err);
  else if (dr__systemd_read(result, name, &unit, err) == DR_OK)
    parsed = dr__unit_json(&unit);
  if (!parsed && !err->code[0]) dr__err_nomem(err);
  json_decref(result);
  return parsed;
}

static int start_status(dr_op *op, dr_err *err) {
  char name[256];
  if (dr__systemd_unit(op, name, err) != DR_OK) return DR_FAILED;
  dr_exec_spec spec = {.command = show_command(op, name),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_status,
                       .fail = dr__systemd_name_failure};
  return dr__exec_op(op, &spec, err);
}

static json_t *assume_status(const dr_op *op) {
  return json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:b, s:b}", "unit",
                   dr__arg_string(op, "unit", ""), "load", "loaded", "active", "active", "sub",
                   "running", "running", 1, "main_pid", 0, "restarts", 0, "can_reload", 1,
                   "file_changed", 0);
}

/* ------------------------------------------------------------ find */

static char *preview_find(const dr_op *op) {
  json_t *words = json_pack("[s]", "show");
  return preview_words(op, join(words, json_copy(dr__arg(op, "names"))));
}

static json_t *assume_find(const dr_op *op) {
  char name[256];
  const char *first = json_string_value(json_array_get(dr__arg(op, "names"), 0));
  return json_pack("{s:s}", "unit",
                   first && dr__systemd_name(first, name, sizeof name) ? name : "");
}

/* The names as the person gave them: "gunicorn or chemical_app". */
static char *names_text(const dr_op *op) {
  const json_t *names = dr__arg(op, "names");
  dr_text text = {0};
  for (size_t i = 0; i < json_array_size(names); i++)
    dr__text_printf(&text, "%s%s", i > 0 ? " or " : "",
                    json_string_value(json_array_get(names, i)));
  return dr__text_take(&text);
}

/* Names of units whose files are not of the distribution, so that the message stays short. */
static void name_units(const char *output, dr_err *err) {
  dr_unit *units = calloc(UNITS_MAX, sizeof *units);
  dr_text text = {0};
  size_t named = 0;
  size_t count = units ? dr__systemd_show(output, units, UNITS_MAX) : 0;
  for (size_t i = 0; i < count && i < UNITS_MAX; i++) {
    bool of_system = strncmp(units[i].file, "/lib/", 5) == 0 ||
                     strncmp(units[i].file, "/usr/lib/", 9) == 0 || !units[i].file[0] ||
                     strncmp(units[i].name, "dbus-", 5) == 0;
    if (of_system || strcmp(units[i].load, "masked") == 0 || ++named > NAMED_MAX) continue;
    dr__text_printf(&text, "%s%s", named > 1 ? ", " : "", units[i].name);
  }
  char *names = dr__text_take(&text);
  if (named > 0)
    dr__err_hint(err, "of its own the machine has: %s%s", names ? names : "",
                 named > NAMED_MAX ? " …" : "");
  else
    dr__err_hint(err,
                 "nobody has added a unit to that machine; systemctl list-unit-files names all");
  free(names);
  free(units);
}

static json_t *parse_names(dr_op *op, int status, json_t *result, dr_err *err) {
  char *names = names_text(op);
  (void)status;
  dr__fail(err, "systemd.not_found", "%s: there is no such unit", names ? names : "");
  name_units(json_string_value(json_object_get(result, "stdout")), err);
  free(names);
  json_decref(result);
  return NULL;
}

static const char names_script[] =
    "set -- $(systemctl $m list-unit-files --type=service --no-legend --no-pager |\n"
    "  while read -r n r; do case $n in *@.service) ;; *) echo \"$n\" ;; esac; done)\n"
    "[ $# -eq 0 ] || systemctl $m show --no-pager --property=Id,LoadState,FragmentPath -- \"$@\"\n";

static void look_for_names(dr_op *op, dr_err *err) {
  dr_exec_spec spec = {.command = dr__systemd_script(op, names_script, json_array()),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_names};
  dr__exec_op(op, &spec, err);
}

/* The one to take: the only one that runs, else the first there is. Two that run are a question for
 * a person. */
static const dr_unit *choose(const dr_unit *units, size_t count, dr_err *err) {
  const dr_unit *first = NULL;
  const dr_unit *running = NULL;
  for (size_t i = 0; i < count; i++) {
    const dr_unit *unit = &units[i];
    if (strcmp(unit->load, "not-found") == 0) continue;
    if (!first) first = unit;
    if (strcmp(unit->active, "active") != 0) continue;
    if (running && strcmp(running->name, unit->name) != 0) {
      dr__fail(err, "systemd.several", "%s and %s both run there", running->name, unit->name);
      dr__err_hint(err, "name the one that is meant");
      return NULL;
    }
    running = unit;
  }
  return running ? running : first;
}

static json_t *parse_find(dr_op *op, int status, json_t *result, dr_err *err) {
  char *names = names_text(op);
  size_t size = json_array_size(dr__arg(op, "names"));
  dr_unit *units = calloc(size + 1, sizeof *units);
  json_t *found = NULL;
  if (!units || !names) {
    dr__err_nomem(err);
  } else if (status != 0) {
    dr__systemctl_failed(op, names, status, err);
  } else {
    const char *text = json_string_value(json_object_get(result, "stdout"));
    size_t count = dr__systemd_show(text ? text : "", units, size);
    const dr_unit *unit = choose(units, count < size ? count : size, err);
    if (unit) found = dr__unit_json(unit);
    if (!unit && !err->code[0]) look_for_names(op, err);
  }
  free(units);
  free(names);
  json_decref(result);
  return found;
}

static int check_find(const dr_op *op, dr_err *err) {
  const json_t *given;
  size_t i;
  char name[256];
  json_array_foreach(dr__arg(op, "names"), i, given) {
    if (!dr__systemd_name(json_string_value(given), name, sizeof name))
      return dr__fail(err, "recipe.argument", "\"%s\" is no name of a unit",
                      json_string_value(given));
  }
  return i > 0 ? DR_OK : dr__fail(err, "recipe.argument", ":systemd needs the name of a unit");
}

static int start_find(dr_op *op, dr_err *err) {
  json_t *properties = json_sprintf("--property=%s", dr__systemd_properties);
  json_t *words = json_pack("[s, s, o, s]", "show", "--no-pager", properties, "--");
  const json_t *given;
  size_t i;
  json_array_foreach(dr__arg(op, "names"), i, given) {
    char name[256];
    (void)dr__systemd_name(json_string_value(given), name, sizeof name);
    if (json_array_append_new(words, json_string(name)) != 0) break;
  }
  if (i < json_array_size(dr__arg(op, "names"))) {
    json_decref(words);
    return dr__err_nomem(err);
  }
  dr_exec_spec spec = {.command = dr__systemctl(op, words),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_find,
                       .fail = dr__systemd_name_failure};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ logs */

/* `since` stands in the words as it was given: journalctl says what is wrong with it. */
static json_t *logs_words(const dr_op *op, const char *name) {
  const char *since = dr__arg_string(op, "since", NULL);
  json_t *lines = json_sprintf("--lines=%lld", (long long)dr__arg_integer(op, "lines", 100));
  json_t *unit = json_sprintf("%s=%s", of_user(op) ? "--user-unit" : "--unit", name);
  json_t *words =
      json_pack("[s, s, s, o, o]", "journalctl", "--no-pager", "--output=short-iso", lines, unit);
  if (words && since && json_array_append_new(words, json_sprintf("--since=%s", since)) != 0) {
    json_decref(words);
    return NULL;
  }
  return words;
}

static char *preview_logs(const dr_op *op) {
  json_t *words = logs_words(op, dr__arg_string(op, "unit", ""));
  char *line = words ? dr__exec_preview(op, words) : NULL;
  json_decref(words);
  return line;
}

static json_t *assume_logs(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "text", "");
}

/* Who may not read the journal is told "No entries", as if there were none. */
static json_t *parse_logs(dr_op *op, int status, json_t *result, dr_err *err) {
  const char *text = json_string_value(json_object_get(result, "stdout"));
  const char *said = dr__exec_text(op, 2);
  bool hidden = strstr(said, "not seeing messages from other users") ||
                strstr(said, "insufficient permissions");
  bool none = !text || strstr(text, "-- No entries --");
  json_t *found = NULL;
  if (status == 127) {
    dr__systemctl_failed(op, "", status, err);
  } else if (hidden && (none || !text[0])) {
    dr__fail(err, "systemd.denied", "this user may not read the journal");
    dr__err_hint(err, "use :sudo(), or add the user to the group systemd-journal");
  } else if (status != 0 && !none) {
    dr__exec_failed(op, status, err);
  } else {
    found =
        json_pack("{s:o}", "text", json_stringn_nocheck(none ? "" : text, none ? 0 : strlen(text)));
  }
  json_decref(result);
  return found;
}

static int start_logs(dr_op *op, dr_err *err) {
  char name[256];
  if (dr__systemd_unit(op, name, err) != DR_OK) return DR_FAILED;
  dr_exec_spec spec = {.command = logs_words(op, name),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_logs};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ done at once */

/* systemd.daemon_reload is `systemctl daemon-reload`; what has a unit gets it. NULL: no memory. */
static json_t *plain_words(const dr_op *op, const char *unit) {
  const char *name = strchr(op->spec->name, '.') + 1;
  bool with_unit = strcmp(name, "daemon_reload") != 0;
  json_t *verb = json_string(strcmp(name, "daemon_reload") == 0  ? "daemon-reload"
                             : strcmp(name, "reset_failed") == 0 ? "reset-failed"
                                                                 : name);
  return with_unit ? json_pack("[o, s]", verb, unit) : json_pack("[o]", verb);
}

static char *preview_plain(const dr_op *op) {
  char name[256];
  const char *given = dr__arg_string(op, "unit", "");
  return preview_words(op,
                       plain_words(op, dr__systemd_name(given, name, sizeof name) ? name : given));
}

static json_t *parse_plain(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0) return json_object();
  dr__systemctl_failed(op, dr__arg_string(op, "unit", "systemd"), status, err);
  return NULL;
}

static int start_plain(dr_op *op, dr_err *err) {
  char name[256] = "";
  if (dr__arg(op, "unit") && dr__systemd_unit(op, name, err) != DR_OK) return DR_FAILED;
  json_t *words = json_pack("[s]", "--no-ask-password");
  dr_exec_spec spec = {.command = dr__systemctl(op, join(words, plain_words(op, name))),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .parse = parse_plain,
                       .fail = dr__systemd_name_failure};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ table */

/* hint(text) -> what a known failure in an app's output means, or nil */
static int l_hint(lua_State *L) {
  const char *hint = dr__app_hint(luaL_checkstring(L, 1));
  if (hint)
    lua_pushstring(L, hint);
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg functions[] = {{"hint", l_hint}, {NULL, NULL}};

static const dr_arg find_args[] = {
    {"names", DR_ARG_STRINGS, DR_REQUIRED}, {"user", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg unit_args[] = {
    {"unit", DR_ARG_STRING, DR_REQUIRED}, {"user", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg logs_args[] = {{"unit", DR_ARG_STRING, DR_REQUIRED},
                                   {"user", DR_ARG_BOOLEAN, 0},
                                   {"since", DR_ARG_STRING, 0},
                                   {"lines", DR_ARG_INTEGER, 0},
                                   {0}};
static const dr_arg user_args[] = {{"user", DR_ARG_BOOLEAN, 0}, {0}};

#define UNIT_QUERY(op_name, what, areas, arguments, checks)                                        \
  {                                                                                                \
    .name = "systemd." op_name, .kind = DR_QUERY, .idempotent = true, .reads = (areas),            \
    .check = (checks), .args = (arguments), .preview = preview_##what, .assume = assume_##what,    \
    .start = start_##what                                                                          \
  }

#define UNIT_PLAIN(op_name, arguments)                                                             \
  {                                                                                                \
    .name = "systemd." op_name, .kind = DR_ACTION, .check = check_unit, .effects = DR_CHANGE,      \
    .idempotent = true, .touches = DR_AREA_SERVICES, .args = (arguments),                          \
    .preview = preview_plain, .start = start_plain                                                 \
  }

#define UNIT_ACT(op_name, does)                                                                    \
  {                                                                                                \
    .name = "systemd." op_name, .kind = DR_ACTION, .check = check_unit, .effects = (does),         \
    .idempotent = true, .touches = DR_AREA_SERVICES, .args = dr__systemd_act_args,                 \
    .preview = dr__systemd_preview_act, .assume = dr__systemd_assume_act,                          \
    .start = dr__systemd_start_act                                                                 \
  }

static const dr_opspec ops[] = {
    UNIT_QUERY("find", find, DR_AREA_SERVICES | DR_AREA_FILES, find_args, check_find),
    UNIT_QUERY("status", status, DR_AREA_SERVICES, unit_args, check_unit),
    UNIT_QUERY("logs", logs, DR_AREA_SERVICES, logs_args, check_unit),
    UNIT_PLAIN("enable", unit_args),
    UNIT_PLAIN("disable", unit_args),
    UNIT_PLAIN("reset_failed", unit_args),
    UNIT_PLAIN("daemon_reload", user_args),
    UNIT_ACT("start", DR_CHANGE),
    UNIT_ACT("stop", DR_CHANGE | DR_DOWNTIME),
    UNIT_ACT("restart", DR_CHANGE | DR_DOWNTIME),
    UNIT_ACT("reload", DR_CHANGE),
    {0},
};

const dr_binding dr__binding_systemd = {.name = "systemd",
                                        .ops = ops,
                                        .functions = functions,
                                        .lua = &dr__lua_systemd,
                                        .gives = ":systemd dr.check_serves dr.prove_serves"};
