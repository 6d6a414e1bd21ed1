/* systemd_show.c - the reader of `systemctl show`, and the judgement of what it says. No I/O; unit
 * tests in tests/unit/test_systemd_show.c, fuzzed. The properties are described in
 * org.freedesktop.systemd1(5). Called by systemd.c and systemd_act.c. */
#include "systemd_show.h"

#include "core/err.h"
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char dr__systemd_properties[] =
    "Id,LoadState,ActiveState,SubState,Result,ReloadResult,Type,UnitFileState,ActiveEnterTimestamp,"
    "FragmentPath,WorkingDirectory,MainPID,NRestarts,ExecMainCode,ExecMainStatus,Job,CanReload,"
    "RemainAfterExit,NeedDaemonReload,TimeoutStartUSec,TimeoutStopUSec";

/* ------------------------------------------------------------ time spans */

static const struct {
  const char *word;
  double seconds;
} spans[] = {{"us", 1e-6}, {"ms", 1e-3},  {"s", 1},           {"min", 60},    {"h", 3600},
             {"d", 86400}, {"w", 604800}, {"month", 2629800}, {"y", 31557600}};

/* The length of the unit that stands at `at`, or negative. */
static double span_of(const char *at, size_t length) {
  for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
    if (strlen(spans[i].word) == length && strncmp(at, spans[i].word, length) == 0)
      return spans[i].seconds;
  return -1;
}

double dr__systemd_seconds(const char *text) {
  double total = 0;
  if (strcmp(text, "infinity") == 0) return HUGE_VAL;
  if (strcmp(text, "0") == 0) return 0;
  if (text[0] == '\0') return -1;
  while (*text) {
    size_t digits = strspn(text, "0123456789.");
    size_t letters = strspn(text + digits, "abcdefghijklmnopqrstuvwxyz");
    double unit = span_of(text + digits, letters);
    if (digits == 0 || digits > 20 || unit < 0) return -1;
    total += strtod(text, NULL) * unit;
    text += digits + letters;
    if (*text && *text != ' ') return -1;
    text += strspn(text, " ");
  }
  return total;
}

/* ------------------------------------------------------------ reading */

typedef enum field_type { TEXT, NUMBER, STATUS, YES, FILLED, SPAN } field_type;

#define TEXT_FIELD(key, field)                                                                     \
  { key, TEXT, offsetof(dr_unit, field), sizeof((dr_unit *)0)->field }
#define FIELD(key, type, field)                                                                    \
  { key, type, offsetof(dr_unit, field), 0 }

static const struct field {
  const char *key;
  field_type type;
  size_t offset;
  size_t size;
} fields[] = {
    TEXT_FIELD("Id", name),
    TEXT_FIELD("LoadState", load),
    TEXT_FIELD("ActiveState", active),
    TEXT_FIELD("SubState", sub),
    TEXT_FIELD("Result", result),
    TEXT_FIELD("ReloadResult", reload),
    TEXT_FIELD("Type", type),
    TEXT_FIELD("UnitFileState", enabled),
    TEXT_FIELD("ActiveEnterTimestamp", since),
    TEXT_FIELD("FragmentPath", file),
    TEXT_FIELD("WorkingDirectory", folder),
    FIELD("MainPID", NUMBER, main_pid),
    FIELD("NRestarts", NUMBER, restarts),
    FIELD("ExecMainCode", STATUS, code),
    FIELD("ExecMainStatus", STATUS, status),
    FIELD("Job", FILLED, job),
    FIELD("CanReload", YES, can_reload),
    FIELD("RemainAfterExit", YES, remains),
    FIELD("NeedDaemonReload", YES, file_changed),
    FIELD("TimeoutStartUSec", SPAN, start_timeout),
    FIELD("TimeoutStopUSec", SPAN, stop_timeout),
};

static void set_field(dr_unit *unit, const struct field *field, const char *value) {
  void *at = (char *)unit + field->offset;
  switch (field->type) {
  case TEXT:
    /* a folder that may be missing has a '!' or '-' before it */
    dr__copy_text(at, field->size, value + (value[0] == '!' || value[0] == '-'));
    break;
  case NUMBER: *(long long *)at = strtoll(value, NULL, 10); break;
  case STATUS: *(int *)at = (int)(strtol(value, NULL, 10) & 0xFFFF); break;
  case YES: *(bool *)at = strcmp(value, "yes") == 0; break;
  case FILLED: *(bool *)at = value[0] != '\0' && strcmp(value, "0") != 0; break;
  case SPAN: *(double *)at = dr__systemd_seconds(value); break;
  }
}

/* One line "Key=value" of `length` bytes. */
static void read_line(dr_unit *unit, const char *line, size_t length) {
  char value[1024];
  const char *equals = memchr(line, '=', length);
  if (!equals) return;
  size_t key = (size_t)(equals - line);
  size_t size = length - key - 1;
  if (size >= sizeof value) size = sizeof value - 1;
  memcpy(value, equals + 1, size);
  value[size] = '\0';
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strlen(fields[i].key) == key && strncmp(fields[i].key, line, key) == 0)
      set_field(unit, &fields[i], value);
}

size_t dr__systemd_show(const char *text, dr_unit *units, size_t size) {
  size_t count = 0;
  dr_unit unit = {0};
  while (true) {
    size_t length = strcspn(text, "\n");
    bool last = text[length] == '\0';
    read_line(&unit, text, length);
    if ((length == 0 || last) && unit.name[0]) {
      if (count < size) units[count] = unit;
      count++;
      unit = (dr_unit){0};
    }
    if (last) return count;
    text += length + 1;
  }
}

bool dr__systemd_name(const char *name, char *out, size_t size) {
  static const char *const kinds[] = {".service", ".socket",    ".timer", ".target",
                                      ".mount",   ".path",      ".slice", ".device",
                                      ".swap",    ".automount", ".scope"};
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                ":-_.\\@";
  const char *dot = strrchr(name, '.');
  bool whole = false;
  for (size_t i = 0; dot && i < sizeof kinds / sizeof *kinds; i++)
    whole = whole || strcmp(dot, kinds[i]) == 0;
  int length = snprintf(out, size, "%s%s", name, whole ? "" : ".service");
  return name[0] != '\0' && name[0] != '-' && name[0] != '.' &&
         name[strspn(name, allowed)] == '\0' && length > 0 && (size_t)length < size && length < 256;
}

static int put_text(json_t *object, const char *key, const char *text) {
  return text[0] ? json_object_set_new(object, key, dr__json_string(text)) : 0;
}

json_t *dr__unit_json(const dr_unit *unit) {
  json_t *object = json_pack(
      "{s:o, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b}", "unit", dr__json_string(unit->name), "load",
      unit->load, "active", unit->active, "sub", unit->sub, "main_pid", (json_int_t)unit->main_pid,
      "restarts", (json_int_t)unit->restarts, "running", strcmp(unit->active, "active") == 0,
      "can_reload", unit->can_reload, "file_changed", unit->file_changed);
  int failed = object ? 0 : 1;
  if (!failed) failed |= put_text(object, "result", unit->result);
  if (!failed) failed |= put_text(object, "type", unit->type);
  if (!failed) failed |= put_text(object, "enabled", unit->enabled);
  if (!failed) failed |= put_text(object, "since", unit->since);
  if (!failed) failed |= put_text(object, "file", unit->file);
  if (!failed) failed |= put_text(object, "folder", unit->folder);
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

/* ------------------------------------------------------------ judging */

static bool is(const char *field, const char *value) {
  return strcmp(field, value) == 0;
}

static bool has_ended(const dr_unit *unit) {
  return is(unit->active, "inactive") || is(unit->active, "failed") ||
         is(unit->sub, "auto-restart") || is(unit->sub, "auto-restart-queued");
}

/* A restart that left the main process as it was has not happened yet. */
static bool is_old(dr_unit_verb verb, const dr_unit *before, const dr_unit *now) {
  return verb == DR_UNIT_RESTART && before->main_pid > 0 && now->main_pid == before->main_pid;
}

dr_unit_verdict dr__unit_judge(dr_unit_verb verb, const dr_unit *before, const dr_unit *now) {
  if (now->job) return DR_UNIT_WAIT;
  if (verb == DR_UNIT_STOP)
    return is(now->active, "inactive") || is(now->active, "failed") ? DR_UNIT_FINISHED
                                                                    : DR_UNIT_WAIT;
  if (is(now->type, "oneshot") && is(now->active, "inactive") && is(now->result, "success"))
    return DR_UNIT_FINISHED;
  if (has_ended(now)) return DR_UNIT_FAILED;
  if (!is(now->active, "active") || is_old(verb, before, now)) return DR_UNIT_WAIT;
  if (verb == DR_UNIT_RELOAD && now->reload[0] && !is(now->reload, "success"))
    return DR_UNIT_FAILED;
  return is(now->sub, "exited") ? DR_UNIT_FINISHED : DR_UNIT_THERE;
}

bool dr__unit_stayed(const dr_unit *first, const dr_unit *now) {
  return now->restarts <= first->restarts && now->main_pid == first->main_pid;
}

/* systemd kills what does not stop after its stop timeout, and then waits that long once more. */
double dr__unit_patience(dr_unit_verb verb, const dr_unit *unit) {
  double start = unit->start_timeout >= 0 ? unit->start_timeout : 90;
  double stop = unit->stop_timeout >= 0 ? unit->stop_timeout : 90;
  switch (verb) {
  case DR_UNIT_STOP: return 2 * stop;
  case DR_UNIT_RESTART: return 2 * stop + start;
  default: return start;
  }
}
