/* systemd_act.c - start, stop, restart and reload of a unit: asked of systemd, then watched until
 * it is so and stays so. The ops systemd.start, stop, restart, reload.
 *
 * Called by the gate on the runtime's thread. Each op is a row of short commands (look, ask, look
 * again …), never one long one: systemd is asked with --no-block, so that what was begun goes on
 * when the connection ends, and nothing on the far side waits for it. When it fails, one more
 * command reads what the unit has written to the journal since the first look.
 *
 * What an op knows between two commands is its `watch`, kept as JSON in the carry of the next
 * command, so that there is nothing to free when it is cancelled.
 */
#include "systemd.h"

#include "core/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds: how long a unit must stay as it is, the longest bound when the recipe gives none, the
 * time over what systemd itself may take, and from one look to the next. */
static const double settled_default = 2;
static const double patience_most = 600;
static const double patience_more = 5;
static const double look_every = 0.05;

enum { JOURNAL_LINES = 30 };

const dr_arg dr__systemd_act_args[] = {{"unit", DR_ARG_STRING, DR_REQUIRED},
                                       {"user", DR_ARG_BOOLEAN, 0},
                                       {"within", DR_ARG_DURATION, 0},
                                       {"settled", DR_ARG_DURATION, 0},
                                       {0}};

/* ------------------------------------------------------------ the op */

static const char *verb_word(const dr_op *op) {
  return strchr(op->spec->name, '.') + 1;
}

static dr_unit_verb verb_of(const dr_op *op) {
  const char *word = verb_word(op);
  return strcmp(word, "start") == 0     ? DR_UNIT_START
         : strcmp(word, "stop") == 0    ? DR_UNIT_STOP
         : strcmp(word, "restart") == 0 ? DR_UNIT_RESTART
                                        : DR_UNIT_RELOAD;
}

static double settled_of(const dr_op *op) {
  return dr__arg_number(op, "settled", settled_default);
}

static double bound_of(const dr_op *op, const dr_unit *unit) {
  double patience = dr__unit_patience(verb_of(op), unit) + settled_of(op) + patience_more;
  return dr__arg_number(op, "within", fmin(patience, patience_most));
}

static double seconds_since_start(const dr_op *op) {
  return (double)(uv_hrtime() - op->started_ns) / 1e9;
}

char *dr__systemd_preview_act(const dr_op *op) {
  char name[256];
  const char *given = dr__arg_string(op, "unit", "");
  bool user = dr__arg_boolean(op, "user", false);
  json_t *command = json_pack("[s, s*, s, s]", "systemctl", user ? "--user" : NULL, verb_word(op),
                              dr__systemd_name(given, name, sizeof name) ? name : given);
  char *line = command ? dr__exec_preview(op, command) : NULL;
  json_decref(command);
  return line;
}

json_t *dr__systemd_assume_act(const dr_op *op) {
  bool stop = verb_of(op) == DR_UNIT_STOP;
  return json_pack("{s:s, s:s, s:s, s:i, s:i, s:b, s:f}", "unit", dr__arg_string(op, "unit", ""),
                   "active", stop ? "inactive" : "active", "sub", stop ? "dead" : "running",
                   "main_pid", 0, "restarts", 0, "running", !stop, "seconds", 0.0);
}

/* ------------------------------------------------------------ the watch */

/* What is known between two commands. */
typedef struct watch {
  dr_unit before;
  dr_unit first;      /* as it was seen when it was first as asked */
  double there_at;    /* seconds of the op when that was; negative: not yet */
  const char *cursor; /* borrowed from the carry; "" when the journal cannot be read */
} watch;

static json_t *pack_bytes(const dr_unit *unit) {
  return json_stringn_nocheck((const char *)unit, sizeof *unit);
}

static json_t *watch_pack(const watch *w) {
  return json_pack("{s:o, s:o, s:f, s:s}", "before", pack_bytes(&w->before), "first",
                   pack_bytes(&w->first), "there_at", w->there_at, "cursor", w->cursor);
}

static void unpack_bytes(const json_t *carry, const char *key, dr_unit *unit) {
  const json_t *bytes = json_object_get(carry, key);
  if (json_string_length(bytes) == sizeof *unit)
    memcpy(unit, json_string_value(bytes), sizeof *unit);
}

static void watch_unpack(const json_t *carry, watch *w) {
  *w = (watch){.there_at = json_real_value(json_object_get(carry, "there_at")),
               .cursor = json_string_value(json_object_get(carry, "cursor"))};
  unpack_bytes(carry, "before", &w->before);
  unpack_bytes(carry, "first", &w->first);
}

/* ------------------------------------------------------------ the failure */

/* The failure with the journal's lines as its detail, and what they are known to mean as its hint.
 */
static json_t *parse_journal(dr_op *op, int status, json_t *result, dr_err *err) {
  const char *text = json_string_value(json_object_get(result, "stdout"));
  const char *hint = text ? dr__app_hint(text) : NULL;
  (void)status;
  dr__err_from_json(err, dr__exec_carry(op));
  if (text && text[0]) dr__err_detail(err, text, strlen(text));
  if (hint) dr__err_hint(err, "%s", hint);
  json_decref(result);
  return NULL;
}

/* Fails with err, after the journal was read; err is moved from. */
static void fail_with_journal(dr_op *op, const watch *w, dr_err *err) {
  if (!w->cursor[0]) {
    char hint[sizeof err->hint];
    dr__copy_text(hint, sizeof hint, err->hint);
    dr__err_hint(err, "%s%sits journal says why: journalctl -u %s", hint, hint[0] ? "; " : "",
                 w->before.name);
    return;
  }
  bool user = dr__arg_boolean(op, "user", false);
  json_t *command =
      json_pack("[s, s, s, s, o, o, o]", "journalctl", "--no-pager", "--quiet", "--output=cat",
                json_sprintf("--lines=%d", JOURNAL_LINES),
                json_sprintf("%s=%s", user ? "--user-unit" : "--unit", w->before.name),
                json_sprintf("--after-cursor=%s", w->cursor));
  dr_exec_spec spec = {.command = command,
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .carry = dr__err_to_json(err),
                       .parse = parse_journal};
  dr_err problem = DR_ERR_INIT;
  if (dr__exec_op(op, &spec, &problem) == DR_OK) dr_err_clear(err);
  dr_err_clear(&problem);
}

/* A HUP that nobody handles ends a process, and systemd takes that for a clean end. */
static void reload_failed(const dr_unit *now, const char *reason, dr_err *err) {
  if (strcmp(now->active, "active") == 0 && strcmp(now->reload, "success") != 0) {
    dr__fail(err, "systemd.failed", "%s: its ExecReload= failed (%s)", now->name, now->reload);
    return;
  }
  dr__fail(err, "systemd.ended_by_reload", "%s ended when it was reloaded: %s", now->name, reason);
  dr__err_hint(
      err, "its process has no handler for the signal, or not yet: one that was just started is "
           "active before it is ready, so let it serve first (serves =); or it could not go on "
           "with what it read. Start it again, and restart it instead of reloading");
}

/* `ran`: it was seen running before. */
static void has_failed(const dr_op *op, const dr_unit *now, bool ran, dr_err *err) {
  char reason[200];
  const char *hint;
  dr__unit_reason(now, reason, sizeof reason, &hint);
  if (verb_of(op) == DR_UNIT_RELOAD)
    reload_failed(now, reason, err);
  else if (ran && strcmp(now->active, "active") == 0)
    dr__fail(err, "systemd.failed",
             "%s started, ended by itself, and was started again by systemd (%lld times so far)",
             now->name, now->restarts);
  else if (ran)
    dr__fail(err, "systemd.failed", "%s started and then ended: %s", now->name, reason);
  else
    dr__fail(err, "systemd.failed", "%s did not start: %s", now->name, reason);
  if (hint[0] && !err->hint[0]) dr__err_hint(err, "%s", hint);
}

static void was_late(const dr_op *op, const watch *w, const dr_unit *now, dr_err *err) {
  bool old = verb_of(op) == DR_UNIT_RESTART && w->before.main_pid > 0 &&
             now->main_pid == w->before.main_pid;
  dr__fail(err, "systemd.timeout", "%s: %s was not done within %g s; it is %s (%s)%s", now->name,
           verb_word(op), bound_of(op, &w->before), now->active, now->sub,
           old ? ", still with its old main process" : "");
  dr__err_hint(err, "systemd goes on with it by itself: systemctl status %s, systemctl list-jobs",
               now->name);
}

/* ------------------------------------------------------------ watching */

static json_t *after_look(dr_op *op, int status, json_t *result, dr_err *err);

static json_t *show_words(const char *name) {
  return json_pack("[s, s, o, s, s]", "show", "--no-pager",
                   json_sprintf("--property=%s", dr__systemd_properties), "--", name);
}

static int look_again(dr_op *op, const watch *w, double delay, dr_err *err) {
  dr_exec_spec spec = {.command = dr__systemctl(op, show_words(w->before.name)),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .delay = delay,
                       .any_status = true,
                       .quiet = true,
                       .carry = watch_pack(w),
                       .parse = after_look};
  return dr__exec_op(op, &spec, err);
}

static json_t *op_result(const dr_op *op, const watch *w, const dr_unit *now) {
  json_t *result = dr__unit_json(now);
  bool forced = verb_of(op) == DR_UNIT_STOP && strcmp(now->result, "timeout") == 0;
  json_object_set_new(result, "old_pid", json_integer(w->before.main_pid));
  json_object_set_new(result, "seconds", json_real(seconds_since_start(op)));
  json_object_set_new(result, "killed", json_boolean(forced));
  return result;
}

/* True when the unit is as asked and has stayed so for long enough; notes when it first was. */
static bool is_settled(const dr_op *op, watch *w, const dr_unit *now, dr_unit_verdict verdict) {
  if (verdict == DR_UNIT_FINISHED) return true;
  if (verdict != DR_UNIT_THERE) {
    w->there_at = -1;
    return false;
  }
  if (w->there_at < 0) {
    w->there_at = seconds_since_start(op);
    w->first = *now;
  }
  return seconds_since_start(op) - w->there_at >= settled_of(op);
}

/* One look at the unit is over: done, failed, late, or another look. */
static json_t *judge(dr_op *op, watch *w, const dr_unit *now, dr_err *err) {
  dr_unit_verdict verdict = dr__unit_judge(verb_of(op), &w->before, now);
  bool ran = w->first.name[0] != '\0';
  if (verdict == DR_UNIT_FAILED || (w->there_at >= 0 && !dr__unit_stayed(&w->first, now))) {
    has_failed(op, now, ran, err);
  } else if (is_settled(op, w, now, verdict)) {
    return op_result(op, w, now);
  } else if (seconds_since_start(op) + look_every > bound_of(op, &w->before)) {
    was_late(op, w, now, err);
  } else {
    dr__op_progress(op, "%s is %s (%s)", now->name, now->active, now->sub);
    look_again(op, w, look_every, err);
    return NULL;
  }
  fail_with_journal(op, w, err);
  return NULL;
}

static json_t *after_look(dr_op *op, int status, json_t *result, dr_err *err) {
  watch w;
  dr_unit now;
  json_t *outcome = NULL;
  json_t *carry = json_incref(dr__exec_carry(op));
  watch_unpack(carry, &w);
  if (status != 0)
    dr__systemctl_failed(op, w.before.name, status, err);
  else if (dr__systemd_read(result, w.before.name, &now, err) == DR_OK)
    outcome = judge(op, &w, &now, err);
  json_decref(carry);
  json_decref(result);
  return outcome;
}

/* ------------------------------------------------------------ looking, asking */

static json_t *after_asking(dr_op *op, int status, json_t *result, dr_err *err) {
  watch w;
  json_t *carry = json_incref(dr__exec_carry(op));
  json_decref(result);
  watch_unpack(carry, &w);
  if (status != 0)
    dr__systemctl_failed(op, w.before.name, status, err);
  else
    look_again(op, &w, 0, err);
  json_decref(carry);
  return NULL;
}

static void ask(dr_op *op, const watch *w, dr_err *err) {
  json_t *words =
      json_pack("[s, s, s, s]", "--no-block", "--no-ask-password", verb_word(op), w->before.name);
  dr_exec_spec spec = {.command = dr__systemctl(op, words),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .carry = watch_pack(w),
                       .parse = after_asking,
                       .fail = dr__systemd_name_failure};
  dr__exec_op(op, &spec, err);
}

/* The journal's end, so that on failure only what came after it is shown. */
static void copy_cursor(const json_t *result, char *cursor, size_t size) {
  static const char mark[] = "-- cursor: ";
  const char *text = json_string_value(json_object_get(result, "stdout"));
  const char *at = text ? strstr(text, mark) : NULL;
  size_t length = at ? strcspn(at + sizeof mark - 1, "\n") : 0;
  cursor[0] = '\0';
  if (length == 0 || length >= size) return;
  memcpy(cursor, at + sizeof mark - 1, length);
  cursor[length] = '\0';
}

/* What systemctl would accept and then do nothing, or something else, is refused here. */
static int check_verb(const dr_op *op, const dr_unit *unit, dr_err *err) {
  bool reload = verb_of(op) == DR_UNIT_RELOAD;
  if (reload && !unit->can_reload) {
    dr__systemd_explain(err, unit->name, "type reload is not applicable");
    return DR_FAILED;
  }
  if (!reload || strcmp(unit->active, "active") == 0) return DR_OK;
  dr__fail(err, "systemd.not_active", "%s is %s, so there is nothing to reload", unit->name,
           unit->active);
  dr__err_hint(err, "start it: unit:start()");
  return DR_FAILED;
}

static json_t *after_first_look(dr_op *op, int status, json_t *result, dr_err *err) {
  char name[256];
  char cursor[256];
  watch w = {.there_at = -1, .cursor = cursor};
  copy_cursor(result, cursor, sizeof cursor);
  if (dr__systemd_unit(op, name, err) == DR_OK && status != 0)
    dr__systemctl_failed(op, name, status, err);
  else if (dr__systemd_read(result, name, &w.before, err) == DR_OK &&
           check_verb(op, &w.before, err) == DR_OK)
    ask(op, &w, err);
  json_decref(result);
  return NULL;
}

static const char first_look[] =
    "systemctl $m show --no-pager --property=\"$1\" -- \"$2\" || exit\n"
    "echo; journalctl --quiet --no-pager --lines=0 --show-cursor 2>/dev/null; exit 0\n";

int dr__systemd_start_act(dr_op *op, dr_err *err) {
  char name[256];
  if (dr__systemd_unit(op, name, err) != DR_OK) return DR_FAILED;
  json_t *words = json_pack("[s, s]", dr__systemd_properties, name);
  dr_exec_spec spec = {.command = dr__systemd_script(op, first_look, words),
                       .timeout = DR_SYSTEMD_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = after_first_look,
                       .fail = dr__systemd_name_failure};
  return dr__exec_op(op, &spec, err);
}
