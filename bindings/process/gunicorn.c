/* gunicorn.c - can the code a running gunicorn would load now be loaded? The op gunicorn.check.
 *
 * Called by the gate and, through it, gunicorn.lua, which holds all else about gunicorn; on the
 * runtime's thread. A gunicorn whose new workers cannot import the app ends itself, old workers and
 * all ("Worker failed to boot"), so that a reload of broken code takes the site down. Before a
 * reload the app is therefore loaded once beside it, by `gunicorn --check-config` with the running
 * one's own words, environment, folder and user.
 */
#include "target/target.h"

#include "core/err.h"
#include "ops/binding.h"
#include "systemd/systemd_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_gunicorn;

enum { LOAD_SECONDS = 120 };

/* The environment is read and handed on inside the process, so that no command line shows it. With
 * --chdir the words meant the folder it was started in. */
static const char load_script[] =
    "import os, sys\n"
    "def read(name): return open('/proc/%s/%s' % (sys.argv[1], name), 'rb').read()\n"
    "words = read('cmdline').rstrip(b'\\0').split(b'\\0')\n"
    "env = dict(e.split(b'=', 1) for e in read('environ').split(b'\\0') if b'=' in e)\n"
    "status = dict(l.split(b':', 1) for l in read('status').split(b'\\n') if b':' in l)\n"
    "os.chdir('/proc/%s/cwd' % sys.argv[1])\n"
    "if any(w.startswith(b'--chdir') for w in words) and b'PWD' in env: os.chdir(env[b'PWD'])\n"
    "if os.geteuid() == 0:\n"
    "    os.setgroups([int(g) for g in status[b'Groups'].split()])\n"
    "    os.setgid(int(status[b'Gid'].split()[1]))\n"
    "    os.setuid(int(status[b'Uid'].split()[1]))\n"
    "os.execvpe(words[0], words + [b'--check-config'], env)\n";

static char *preview(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "load the new code once beside it: %s --check-config",
                        dr__arg_string(op, "command", "gunicorn"));
  return length < 0 ? NULL : text;
}

/* The last line that is not empty: of a traceback, what went wrong. */
static void last_line(const char *text, char *line, size_t size) {
  const char *end = text + strlen(text);
  while (end > text && (end[-1] == '\n' || end[-1] == ' ')) end--;
  const char *begin = end;
  while (begin > text && begin[-1] != '\n') begin--;
  size_t length = (size_t)(end - begin) < size ? (size_t)(end - begin) : size - 1;
  memcpy(line, begin, length);
  line[length] = '\0';
}

static json_t *parse(dr_op *op, int status, json_t *result, dr_err *err) {
  char why[300];
  json_decref(result);
  if (status == 0)
    return json_pack("{s:f}", "seconds", (double)(uv_hrtime() - op->started_ns) / 1e9);
  const char *said = dr__exec_text(op, 2);
  if (!said[0]) said = dr__exec_text(op, 1);
  const char *hint = dr__app_hint(said);
  last_line(said, why, sizeof why);
  dr__exec_failed(op, status, err); /* its last lines are the detail */
  bool denied = strstr(said, "PermissionError") && strstr(said, "/proc/");
  dr__copy_text(err->code, sizeof err->code, denied ? "process.denied" : "gunicorn.broken");
  snprintf(err->message, sizeof err->message, "the code that is there now cannot be loaded: %s",
           why);
  if (denied)
    dr__copy_text(err->message, sizeof err->message,
                  "this user may not look at gunicorn's environment");
  dr__err_hint(err, "%s",
               denied ? "act as its owner, server:as(\"user\"), or as root, server:sudo()"
               : hint ? hint
                      : "nothing was reloaded: the old workers still serve; mend the code first");
  return NULL;
}

static int start(dr_op *op, dr_err *err) {
  json_t *command =
      json_pack("[s, s, s, o]", dr__arg_string(op, "python", "python3"), "-c", load_script,
                json_sprintf("%lld", (long long)dr__arg_integer(op, "pid", 0)));
  dr_exec_spec spec = {.command = command,
                       .timeout = LOAD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse};
  return dr__exec_op(op, &spec, err);
}

static json_t *assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:f}", "seconds", 0.0);
}

static const dr_arg args[] = {{"pid", DR_ARG_INTEGER, DR_REQUIRED},
                              {"python", DR_ARG_STRING, 0},
                              {"command", DR_ARG_STRING, 0},
                              {0}};

static const dr_opspec ops[] = {
    {.name = "gunicorn.check",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = args,
     .preview = preview,
     .assume = assume,
     .start = start},
    {0},
};

const dr_binding dr__binding_gunicorn = {
    .name = "gunicorn", .ops = ops, .lua = &dr__lua_gunicorn, .gives = ":gunicorn"};
