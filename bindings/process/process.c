/* process.c - processes of a target: found in /proc, sent a signal, watched until they end. The ops
 * process.list, process.signal, process.gone.
 *
 * Called by the gate and, through it, process.lua; on the runtime's thread. Each op is one shell
 * script on the target, so that containers and sudo work as for any command.
 *
 * A pid alone names no process: the number is given to another one some day. What names it is pid
 * and the moment it began, and the script that sends a signal compares that moment first.
 */
#include "process_list.h"
#include "target/target.h"

#include "core/err.h"
#include "core/lane.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_process;

/* Linux gives no number above PID_MOST. */
enum { SECONDS = 60, MARK_SIZE = 33, PID_MOST = 4194304 };

/* ------------------------------------------------------------ list */

static const char *const filter_names[] = {"command", "name", "owner", "folder", "unit"};

static char *preview_list(const dr_op *op) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  fputs("list processes", out);
  for (size_t i = 0; i < sizeof filter_names / sizeof *filter_names; i++) {
    const char *value = dr__arg_string(op, filter_names[i], NULL);
    if (value) fprintf(out, " %s=%s", filter_names[i], value);
  }
  if (dr__arg(op, "pid")) fprintf(out, " pid=%lld", (long long)dr__arg_integer(op, "pid", 0));
  if (dr__arg(op, "tree")) fprintf(out, " tree=%lld", (long long)dr__arg_integer(op, "tree", 0));
  if (dr__arg(op, "parent"))
    fprintf(out, " parent=%lld", (long long)dr__arg_integer(op, "parent", 0));
  fclose(out);
  return text;
}

static json_t *assume_list(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "processes");
}

/* A mark no process can know beforehand, so that none can pretend to be another by its command
 * line. False: the system gave no random bytes. */
static bool make_mark(char *mark) {
  unsigned char bytes[(MARK_SIZE - 1) / 2];
  if (uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL) != 0) return false;
  for (size_t i = 0; i < sizeof bytes; i++) snprintf(mark + 2 * i, 3, "%02x", bytes[i]);
  return true;
}

static json_t *parse_list(dr_op *op, int status, json_t *result, dr_err *err) {
  const json_t *text = json_object_get(result, "stdout");
  dr_process_filter filter = {.command = dr__arg_string(op, "command", NULL),
                              .name = dr__arg_string(op, "name", NULL),
                              .owner = dr__arg_string(op, "owner", NULL),
                              .folder = dr__arg_string(op, "folder", NULL),
                              .unit = dr__arg_string(op, "unit", NULL),
                              .pid = dr__arg_integer(op, "pid", -1),
                              .parent = dr__arg_integer(op, "parent", -1)};
  (void)status;
  json_t *list = dr__process_list(json_string_value(text), json_string_length(text),
                                  json_string_value(dr__exec_carry(op)), &filter, err);
  json_decref(result);
  return list ? json_pack("{s:o}", "processes", list) : NULL;
}

/* Of the process an op is told. Where a walk has been given assumed results, a recipe may write 0
 * in the place of a process that is not there yet: server:processes{…}[1] or { pid = 0 }. */
static int check_pid(const dr_op *op, dr_err *err) {
  int64_t pid = dr__arg_integer(op, "pid", 1);
  bool stand_in = pid == 0 && json_array_size(op->lane->assumed) > 0;
  if (stand_in || (pid >= 1 && pid <= PID_MOST)) return DR_OK;
  dr__fail(err, "recipe.argument", "%lld is no number of a process", (long long)pid);
  dr__err_hint(err, "a process is one of server:processes { … }, or its number");
  return DR_FAILED;
}

/* 0 is the kernel, the parent of the first processes. */
static int check_list(const dr_op *op, dr_err *err) {
  if (dr__arg_integer(op, "parent", 0) >= 0 && dr__arg_integer(op, "tree", 0) >= 0)
    return check_pid(op, err);
  return dr__fail(err, "recipe.argument",
                  ":processes: parent and tree are the number of a process");
}

static int start_list(dr_op *op, dr_err *err) {
  char mark[MARK_SIZE + 1];
  if (!make_mark(mark)) return dr__fail(err, "process.output", "the system gives no random bytes");
  json_t *command = json_pack("[s, s, s, s]", "/bin/sh", "-c", dr__process_script, "sh");
  if (command && dr__arg(op, "pid"))
    json_array_append_new(command, json_sprintf("%lld", (long long)dr__arg_integer(op, "pid", 0)));
  else if (command && dr__arg(op, "tree"))
    json_array_append_new(command,
                          json_sprintf("+%lld", (long long)dr__arg_integer(op, "tree", 0)));
  json_t *carry = json_string(mark);
  mark[MARK_SIZE - 1] = '\n';
  dr_exec_spec spec = {.command = command,
                       .timeout = SECONDS,
                       .input = mark,
                       .input_length = MARK_SIZE,
                       .quiet = true,
                       .carry = carry,
                       .parse = parse_list};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ signal */

enum { GONE = 71, OTHER = 72, NO_HANDLER = 73, IGNORED = 74, DENIED = 75 };

/* sh -c script sh PID STARTED SIGNAL PATTERN: compares when the process began, and, where there is
 * a pattern, looks for a handler; then sends the signal. Exit statuses as above. */
static const char signal_script[] =
    "d=/proc/$1; s=; c=; i=\n"
    "{ IFS= read -r s <\"$d/stat\"; } 2>/dev/null || exit 71\n"
    "n=$3; q=$4; w=$2; p=$1\n"
    "set -f; set -- ${s##*) }\n"
    "case $1 in Z|X) exit 71 ;; esac\n"
    "shift 19; [ -z \"$w\" ] || [ \"$1\" = \"$w\" ] || exit 72\n"
    "if [ -n \"$q\" ]; then\n"
    "  while read -r k v; do case $k in SigCgt:) c=$v ;; SigIgn:) i=$v ;; esac; done "
    "<\"$d/status\"\n"
    "  case $c in $q) ;; *) case $i in $q) exit 74 ;; esac; exit 73 ;; esac\n"
    "fi\n"
    "kill -s \"$n\" \"$p\" && exit 0\n"
    "[ -e \"$d\" ] || exit 71\n"
    "exit 75\n";

static const char *signal_name(const dr_op *op) {
  const char *name = dr__arg_string(op, "signal", "");
  return strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
}

/* "12", or "PID" of a process that a dry run assumed. */
static void number_text(const dr_op *op, char *buffer, size_t size) {
  int64_t pid = dr__arg_integer(op, "pid", 0);
  snprintf(buffer, size, "%lld", (long long)pid);
  if (pid == 0) dr__copy_text(buffer, size, "PID");
}

/* The process as a person knows it: "process 12 (gunicorn app:wsgi)". */
static void describe(const dr_op *op, char *buffer, size_t size) {
  const char *command = dr__arg_string(op, "command", "");
  char number[24];
  char shown[100];
  number_text(op, number, sizeof number);
  dr__copy_text(shown, sizeof shown, command);
  snprintf(buffer, size, "process %s%s%s%s%s", number, shown[0] ? " (" : "", shown,
           strlen(command) > strlen(shown) ? " …" : "", shown[0] ? ")" : "");
}

static char *preview_signal(const dr_op *op) {
  char *text = NULL;
  char *line;
  char number[24];
  number_text(op, number, sizeof number);
  json_t *command = json_pack("[s, s, s, s]", "kill", "-s", signal_name(op), number);
  const char *what = dr__arg_string(op, "command", "");
  line = command ? dr__exec_preview(op, command) : NULL;
  int length = line ? asprintf(&text, "%s%s%.160s%s", line, what[0] ? "  # " : "", what,
                               strlen(what) > 160 ? "…" : "")
                    : -1;
  json_decref(command);
  free(line);
  return length < 0 ? NULL : text;
}

static void signal_error(const dr_op *op, int status, dr_err *err) {
  char who[200];
  const char *name = signal_name(op);
  describe(op, who, sizeof who);
  if (status == GONE) {
    dr__fail(err, "process.gone", "%s has ended", who);
    dr__err_hint(err, "look for it again: server:processes{…}");
  } else if (status == OTHER) {
    dr__fail(err, "process.changed", "%s is another process by now", who);
    dr__err_hint(err, "its number was given to a new one; look again: server:processes{…}");
  } else if (status == NO_HANDLER) {
    dr__fail(err, "process.no_handler", "%s has no handler for %s, which would end it", who, name);
    dr__err_hint(err, "it is not the process that is meant, or it cannot do that: restart it; "
                      "handler = false sends the signal all the same");
  } else if (status == IGNORED) {
    dr__fail(err, "process.ignores", "%s ignores %s, so nothing would happen", who, name);
    dr__err_hint(err, "restart it; handler = false sends the signal all the same");
  } else {
    dr__fail(err, "process.denied", "this user may not send %s to %s", name, who);
    dr__err_hint(err, "act as its owner, server:as(\"user\"), or as root, server:sudo()");
  }
}

static json_t *parse_signal(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0) return json_object();
  if (status >= GONE && status <= DENIED)
    signal_error(op, status, err);
  else
    dr__exec_failed(op, status, err);
  return NULL;
}

static int check_signal(const dr_op *op, dr_err *err) {
  if (dr__signal_number(signal_name(op)) == 0) {
    dr__fail(err, "recipe.argument", "\"%s\" is no signal", signal_name(op));
    dr__err_hint(err, "HUP, TERM, INT, QUIT, USR1, USR2, TTIN, TTOU, WINCH, KILL …");
    return DR_FAILED;
  }
  return check_pid(op, err);
}

static int start_signal(dr_op *op, dr_err *err) {
  char pattern[32] = "";
  int number = dr__signal_number(signal_name(op));
  if (dr__arg_boolean(op, "handler", dr__signal_is_message(number)))
    dr__signal_pattern(number, pattern, sizeof pattern);
  json_t *started = dr__arg(op, "started")
                        ? json_sprintf("%lld", (long long)dr__arg_integer(op, "started", 0))
                        : json_string("");
  json_t *command = json_pack("[s, s, s, s, o, o, s, s]", "/bin/sh", "-c", signal_script, "sh",
                              json_sprintf("%lld", (long long)dr__arg_integer(op, "pid", 0)),
                              started, signal_name(op), pattern);
  dr_exec_spec spec = {.command = command,
                       .timeout = SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_signal};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ gone */

/* Exit status 0 when the process has ended; a zombie has. */
static const char gone_script[] =
    "s=; { IFS= read -r s <\"/proc/$1/stat\"; } 2>/dev/null || exit 0\n"
    "w=$2; set -f; set -- ${s##*) }\n"
    "case $1 in Z|X) exit 0 ;; esac\n"
    "shift 19; [ \"$1\" = \"$w\" ] || exit 0\n"
    "exit 71\n";

static const double gone_within = 30;
static const double gone_every = 0.05;

static int look(dr_op *op, double delay, dr_err *err);

static char *preview_gone(const dr_op *op) {
  char who[200];
  char *text = NULL;
  describe(op, who, sizeof who);
  int length = asprintf(&text, "until %s has ended, at most %g s", who,
                        dr__arg_number(op, "within", gone_within));
  return length < 0 ? NULL : text;
}

static json_t *parse_gone(dr_op *op, int status, json_t *result, dr_err *err) {
  char who[200];
  double seconds = (double)(uv_hrtime() - op->started_ns) / 1e9;
  double within = dr__arg_number(op, "within", gone_within);
  json_decref(result);
  if (status == 0) return json_pack("{s:f}", "seconds", seconds);
  if (status != GONE) {
    dr__exec_failed(op, status, err);
  } else if (seconds + gone_every > within) {
    describe(op, who, sizeof who);
    dr__fail(err, "process.still_there", "%s has not ended within %g s", who, within);
    dr__err_hint(err, "give it longer, or end it: server:signal(process, \"KILL\")");
  } else {
    look(op, gone_every, err);
  }
  return NULL;
}

static int look(dr_op *op, double delay, dr_err *err) {
  json_t *command = json_pack("[s, s, s, s, o, o]", "/bin/sh", "-c", gone_script, "sh",
                              json_sprintf("%lld", (long long)dr__arg_integer(op, "pid", 0)),
                              json_sprintf("%lld", (long long)dr__arg_integer(op, "started", 0)));
  dr_exec_spec spec = {.command = command,
                       .timeout = SECONDS,
                       .delay = delay,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_gone};
  return dr__exec_op(op, &spec, err);
}

static int start_gone(dr_op *op, dr_err *err) {
  return look(op, 0, err);
}

/* ------------------------------------------------------------ table */

static const dr_arg list_args[] = {
    {"command", DR_ARG_STRING, 0}, {"name", DR_ARG_STRING, 0},  {"owner", DR_ARG_STRING, 0},
    {"folder", DR_ARG_STRING, 0},  {"unit", DR_ARG_STRING, 0},  {"pid", DR_ARG_INTEGER, 0},
    {"parent", DR_ARG_INTEGER, 0}, {"tree", DR_ARG_INTEGER, 0}, {0}};
static const dr_arg signal_args[] = {
    {"pid", DR_ARG_INTEGER, DR_REQUIRED}, {"signal", DR_ARG_STRING, DR_REQUIRED},
    {"started", DR_ARG_INTEGER, 0},       {"command", DR_ARG_STRING, 0},
    {"handler", DR_ARG_BOOLEAN, 0},       {0}};
static const dr_arg gone_args[] = {{"pid", DR_ARG_INTEGER, DR_REQUIRED},
                                   {"started", DR_ARG_INTEGER, DR_REQUIRED},
                                   {"command", DR_ARG_STRING, 0},
                                   {"within", DR_ARG_DURATION, 0},
                                   {0}};

static const dr_opspec ops[] = {
    {.name = "process.list",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_SERVICES,
     .check = check_list,
     .args = list_args,
     .preview = preview_list,
     .assume = assume_list,
     .start = start_list},
    {.name = "process.signal",
     .check = check_signal,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = DR_AREA_SERVICES,
     .args = signal_args,
     .preview = preview_signal,
     .start = start_signal},
    {.name = "process.gone",
     .kind = DR_CHECK,
     .idempotent = true,
     .check = check_pid,
     .args = gone_args,
     .preview = preview_gone,
     .start = start_gone},
    {0},
};

const dr_binding dr__binding_process = {.name = "process",
                                        .ops = ops,
                                        .lua = &dr__lua_process,
                                        .gives = ":processes :process :signal :wait_gone"};
