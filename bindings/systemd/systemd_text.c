/* systemd_text.c - what systemd and the programs it runs say, in words a person can act on. No I/O,
 * any thread. Called by the systemd ops and gunicorn.c. */
#include "systemd_show.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------ why a unit fails */

/* What systemd itself exits with before the program begins (systemd.exec(5), "Process exit codes").
 */
static const struct {
  int status;
  const char *reason;
  const char *hint;
} before_program[] = {
    {200, "could not enter its folder (200/CHDIR)", "check WorkingDirectory= in its unit file"},
    {203, "its program could not be run (203/EXEC)",
     "check the path in ExecStart=: does it exist, is it executable, is its virtualenv there?"},
    {209, "its standard output could not be opened (209/STDOUT)", "check StandardOutput="},
    {216, "its group does not exist (216/GROUP)", "check Group= in its unit file"},
    {217, "its user does not exist (217/USER)", "check User= in its unit file"},
    {226, "its sandbox could not be set up (226/NAMESPACE)",
     "check the paths in ReadWritePaths= and its like"},
};

/* "exit-code" and its like. */
static const struct {
  const char *result;
  const char *reason;
  const char *hint;
} results[] = {
    {"timeout", "did not get there in the time systemd gives it",
     "its TimeoutStartSec= or TimeoutStopSec= is over; does it wait for something?"},
    {"start-limit-hit", "was started too often in a short time, so systemd refuses",
     "mend the cause, then unit:reset_failed() and start it again"},
    {"oom-kill", "was killed because memory ran out", "look at free -m and at its MemoryMax="},
    {"watchdog", "was killed because it gave no sign of life", ""},
    {"core-dump", "crashed", "coredumpctl on that machine may know more"},
    {"protocol", "did not tell systemd that it is ready",
     "Type=notify and Type=forking need a program that says so; else use Type=simple or exec"},
    {"resources", "could not be set up", "its unit file asks for something that is not there"},
    {"condition", "was skipped: a Condition of its unit file does not hold", ""},
    {"exec-condition", "was skipped: its ExecCondition= does not hold", ""},
};

static void ended_reason(const dr_unit *unit, char *reason, size_t size, const char **hint) {
  for (size_t i = 0; i < sizeof before_program / sizeof *before_program; i++) {
    if (unit->code != 1 || unit->status != before_program[i].status) continue;
    snprintf(reason, size, "%s", before_program[i].reason);
    *hint = before_program[i].hint;
    return;
  }
  if (unit->code == 1)
    snprintf(reason, size, "its main process exited with status %d", unit->status);
  else if (unit->code == 2 || unit->code == 3)
    snprintf(reason, size, "its main process was ended by signal %d%s", unit->status,
             unit->status == 1 ? " (HUP)" : "");
  else
    snprintf(reason, size, "it is %s (%s)", unit->active, unit->sub);
  if (unit->code == 2 && unit->status == 1)
    *hint = "it has no handler for HUP: its ExecReload= kills it; restart it instead";
}

void dr__unit_reason(const dr_unit *unit, char *reason, size_t size, const char **hint) {
  *hint = "";
  for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
    if (strcmp(unit->result, results[i].result) != 0) continue;
    snprintf(reason, size, "it %s", results[i].reason);
    *hint = results[i].hint;
    return;
  }
  ended_reason(unit, reason, size, hint);
}

/* ------------------------------------------------------------ known failures of an app */

static const struct {
  const char *words;
  const char *hint;
} app_failures[] = {
    {"no such table", "migrations were not applied: run manage.py migrate before the restart"},
    {"UndefinedTable", "migrations were not applied: run manage.py migrate before the restart"},
    {"UndefinedColumn", "migrations were not applied: run manage.py migrate before the restart"},
    {"no such column", "migrations were not applied: run manage.py migrate before the restart"},
    {"405 Method Not Allowed", "old code may still be in memory: restart it, a reload was missed"},
    {"ModuleNotFoundError",
     "a Python module is missing: install the requirements into its virtualenv"},
    {"No module named", "a Python module is missing: install the requirements into its virtualenv"},
    {"Address already in use",
     "another process listens on its port: ss -ltnp on that machine names it"},
    {"DisallowedHost", "the name it is asked by is not in ALLOWED_HOSTS"},
    {"Permission denied", "its user may not read or write something it needs"},
};

const char *dr__app_hint(const char *text) {
  for (size_t i = 0; i < sizeof app_failures / sizeof *app_failures; i++)
    if (strstr(text, app_failures[i].words)) return app_failures[i].hint;
  return NULL;
}

/* ------------------------------------------------------------ what systemctl says */

/* The first match counts. */
static const struct {
  const char *words;
  const char *code;
  const char *message; /* behind the unit's name */
  const char *hint;
} sayings[] = {
    {"$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined", "systemd.not_running",
     "the user has no systemd of their own running",
     "let it run without a login: loginctl enable-linger USER"},
    {"No medium found", "systemd.not_running", "the user has no systemd of their own running",
     "let it run without a login: loginctl enable-linger USER"},
    {"has not been booted with systemd", "systemd.not_running", "systemd does not run there",
     "in a container there is usually none: name the host itself"},
    {"Failed to connect to bus: Permission denied", "systemd.denied",
     "this user may not speak to systemd", "use :sudo()"},
    {"Failed to connect to", "systemd.not_running", "systemd cannot be reached",
     "is it a container? name the host itself; units of a user need loginctl enable-linger USER"},
    {"Failed to get D-Bus connection", "systemd.not_running", "systemd cannot be reached",
     "is it a container? name the host itself"},
    {"is masked", "systemd.masked", "is masked, so it cannot be started",
     "somebody did that on purpose; systemctl unmask takes it back"},
    {"nteractive authentication required", "systemd.denied", "this user may not do that to",
     "use :sudo(), as in server:sudo():systemd(…)"},
    {"Access denied", "systemd.denied", "this user may not do that to",
     "use :sudo(), as in server:sudo():systemd(…)"},
    {"Permission denied", "systemd.denied", "this user may not do that to",
     "use :sudo(), as in server:sudo():systemd(…)"},
    {"Operation not permitted", "systemd.denied", "this user may not do that to",
     "use :sudo(), as in server:sudo():systemd(…)"},
    {"type reload is not applicable", "systemd.no_reload",
     "has no ExecReload=, so it cannot reload",
     "restart it, or let its process read its configuration again by a signal"},
    {"not found", "systemd.not_found", "is no unit there", "systemctl list-unit-files names them"},
    {"does not exist", "systemd.not_found", "is no unit there",
     "systemctl list-unit-files names them"},
    {"bad unit file setting", "systemd.bad_unit", "has a mistake in its unit file",
     "systemd-analyze verify on that machine names it"},
};

void dr__systemd_explain(dr_err *err, const char *unit, const char *said) {
  dr__fail(err, "systemd.failed", "systemctl refused what was asked of %s", unit);
  for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++) {
    if (!strstr(said, sayings[i].words)) continue;
    bool denied = strcmp(sayings[i].code, "systemd.denied") == 0;
    bool absent = strcmp(sayings[i].code, "systemd.not_running") == 0;
    if (absent || (denied && strstr(sayings[i].words, "bus")))
      dr__fail(err, sayings[i].code, "%s", sayings[i].message);
    else if (denied)
      dr__fail(err, sayings[i].code, "%s %s", sayings[i].message, unit);
    else
      dr__fail(err, sayings[i].code, "%s %s", unit, sayings[i].message);
    dr__err_hint(err, "%s", sayings[i].hint);
    break;
  }
}
