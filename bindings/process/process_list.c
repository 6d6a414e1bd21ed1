/* process_list.c - the reader of what the process script writes, and the signals. No I/O; unit
 * tests in tests/unit/test_process_list.c, fuzzed. /proc is described in proc(5).
 * Called by process.c. */
#include "process_list.h"

#include "core/err.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two hundred processes are read with one program started for each that has a command line: all
 * else is builtins. Kernel threads (flag 0x200000 of stat) have none. `cd -P` into /proc/PID/cwd is
 * readlink without a program. The names of users come from /etc/passwd of the place itself. */
const char dr__process_script[] =
    "IFS= read -r t; u=; LC_ALL=C; export LC_ALL\n"
    "{ read -r u _ </proc/uptime; } 2>/dev/null\n"
    "printf '%s\\nT %s\\n' \"$t\" \"$u\"\n"
    "while IFS=: read -r n _ u _; do printf 'N %s %s\\n' \"$u\" \"$n\"; done </etc/passwd "
    "2>/dev/null\n"
    "o=; case ${1-} in +*) o=${1#+}; shift ;; esac\n"
    "[ $# -gt 0 ] || { cd /proc && set -- [0-9]*; }\n"
    "for p; do\n"
    "  d=/proc/$p s= u= c= g=\n"
    "  { IFS= read -r s <\"$d/stat\"; } 2>/dev/null || continue\n"
    "  [ $p != $$ ] || continue\n"
    "  r=${s##*) }; q=${r#* }; q=${q%% *}\n"
    "  [ -z \"$o\" ] || [ $p = \"$o\" ] || [ \"$q\" = \"$o\" ] || continue\n"
    "  for k in 1 2 3 4 5 6; do r=${r#* }; done; r=${r%% *}\n"
    "  [ $((${r:-0} & 2097152)) -eq 0 ] || continue\n"
    "  { while read -r k v _; do case $k in Uid:) u=$v; break ;; esac; done <\"$d/status\"; } "
    "2>/dev/null\n"
    "  { while IFS= read -r k; do case $k in 0::*.service*|*:name=systemd:*) g=$k ;; esac; done "
    "<\"$d/cgroup\"; } 2>/dev/null\n"
    "  PWD=; { cd -P \"$d/cwd\" && c=$PWD; } 2>/dev/null\n"
    "  printf '\\n%s\\nS %s\\nU %s\\nG %s\\nF %s\\nC ' \"$t\" \"$s\" \"$u\" \"$g\" \"$c\"\n"
    "  cat \"$d/cmdline\" 2>/dev/null\n"
    "done\n"
    "printf '\\n%s\\nE\\n' \"$t\"\n";

/* The kernel counts in hundredths of a second on every machine of today. */
static const double ticks_a_second = 100;

/* One record of the output, cut into its parts. Borrowed. */
typedef struct record {
  const char *at;
  size_t left;
} record;

/* One process. */
typedef struct process {
  long long pid, parent, ticks;
  long long uid;
  char name[64];
  char state[2];
  char unit[256];
  char folder[1024];
  const char *words; /* each ended by a zero byte, the last perhaps not */
  size_t words_length;
} process;

/* ------------------------------------------------------------ one record */

/* The rest of the next line when it begins with `key` and a space; else NULL. Not terminated:
 * *length has its size. */
static const char *take_line(record *r, char key, size_t *length) {
  const char *line = r->at;
  const char *end = r->left > 0 ? memchr(line, '\n', r->left) : NULL;
  if (!end || line[0] != key || line[1] != ' ') return NULL;
  *length = (size_t)(end - line) - 2;
  r->left -= (size_t)(end + 1 - line);
  r->at = end + 1;
  return line + 2;
}

/* The same, copied as a C string and cut to size. */
static bool take_text(record *r, char key, char *out, size_t size) {
  size_t length;
  const char *text = take_line(r, key, &length);
  if (!text) return false;
  if (length >= size) length = size - 1;
  memcpy(out, text, length);
  out[length] = '\0';
  return true;
}

/* "12 (name) S 1 …": the name may hold spaces and parentheses, so that the last one ends it. Fields
 * behind it: state, parent, …; the 22nd of all is the tick at which it began. */
static bool read_stat(process *p, const char *line) {
  const char *open = strchr(line, '(');
  const char *shut = strrchr(line, ')');
  long long field[20] = {0};
  if (!open || !shut || shut < open || shut[1] != ' ' || !shut[2]) return false;
  size_t length = (size_t)(shut - open - 1);
  if (length >= sizeof p->name) length = sizeof p->name - 1;
  memcpy(p->name, open + 1, length);
  p->name[length] = '\0';
  p->state[0] = shut[2];
  const char *at = shut + 3;
  for (int i = 1; i < 20; i++) {
    char *end;
    field[i] = strtoll(at, &end, 10);
    if (end == at) return false;
    at = end;
  }
  p->pid = strtoll(line, NULL, 10);
  p->parent = field[1];
  p->ticks = field[19];
  return p->pid > 0;
}

/* "0::/system.slice/gunicorn.service/…" → "gunicorn.service", the innermost; "" when there is none.
 */
static void read_unit(process *p, const char *line) {
  static const char suffix[] = ".service";
  for (const char *part = strchr(line, '/'); part; part = strchr(part, '/')) {
    size_t length = strcspn(++part, "/");
    bool service = length > sizeof suffix - 1 && length < sizeof p->unit &&
                   strncmp(part + length - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
    if (!service) continue;
    memcpy(p->unit, part, length);
    p->unit[length] = '\0';
  }
}

static bool read_process(process *p, record r) {
  char line[1024];
  *p = (process){0};
  if (!take_text(&r, 'S', line, sizeof line) || !read_stat(p, line)) return false;
  if (!take_text(&r, 'U', line, sizeof line)) return false;
  p->uid = line[0] ? strtoll(line, NULL, 10) : -1;
  if (!take_text(&r, 'G', line, sizeof line)) return false;
  read_unit(p, line);
  if (!take_text(&r, 'F', p->folder, sizeof p->folder)) return false;
  if (r.left < 2 || r.at[0] != 'C' || r.at[1] != ' ') return false;
  p->words = r.at + 2;
  p->words_length = r.left - 2;
  while (p->words_length > 0 && p->words[p->words_length - 1] == '\0') p->words_length--;
  return true;
}

/* ------------------------------------------------------------ filtering */

static const char *owner_of(const json_t *names, long long uid) {
  char number[32];
  snprintf(number, sizeof number, "%lld", uid);
  return json_string_value(json_object_get(names, number));
}

static bool is_owner(const process *p, const json_t *names, const char *wanted) {
  char number[32];
  const char *name = owner_of(names, p->uid);
  snprintf(number, sizeof number, "%lld", p->uid);
  return (name && strcmp(name, wanted) == 0) || strcmp(number, wanted) == 0;
}

static bool is_folder(const char *folder, const char *wanted) {
  size_t length = strlen(wanted);
  while (length > 1 && wanted[length - 1] == '/') length--;
  return strlen(folder) == length && strncmp(folder, wanted, length) == 0;
}

/* The command as one line, words with a space between: for people and for the filter. malloc'd. */
static char *command_line(const process *p) {
  char *line = malloc(p->words_length + 1);
  if (!line) return NULL;
  for (size_t i = 0; i < p->words_length; i++) line[i] = p->words[i] ? p->words[i] : ' ';
  line[p->words_length] = '\0';
  return line;
}

static bool is_wanted(const process *p, const json_t *names, const char *line,
                      const dr_process_filter *f) {
  if (f->pid >= 0 && p->pid != f->pid) return false;
  if (f->parent >= 0 && p->parent != f->parent) return false;
  if (f->name && strcmp(p->name, f->name) != 0) return false;
  if (f->owner && !is_owner(p, names, f->owner)) return false;
  if (f->folder && !is_folder(p->folder, f->folder)) return false;
  if (f->unit && strcmp(p->unit, f->unit) != 0) return false;
  return !f->command || strstr(line, f->command) != NULL;
}

/* ------------------------------------------------------------ output */

static json_t *word_list(const process *p) {
  json_t *words = json_array();
  for (size_t at = 0; at < p->words_length;) {
    const char *end = memchr(p->words + at, '\0', p->words_length - at);
    size_t length = end ? (size_t)(end - p->words) - at : p->words_length - at;
    json_array_append_new(words, json_stringn_nocheck(p->words + at, length));
    at += length + 1;
  }
  return words;
}

static json_t *process_json(const process *p, const json_t *names, const char *line, double up) {
  const char *owner = owner_of(names, p->uid);
  double age = up - (double)p->ticks / ticks_a_second;
  json_t *object = json_pack("{s:I, s:I, s:s, s:o, s:I, s:I, s:f, s:s, s:s, s:o}", "pid",
                             (json_int_t)p->pid, "parent", (json_int_t)p->parent, "state", p->state,
                             "name", dr__json_string(p->name), "uid", (json_int_t)p->uid, "started",
                             (json_int_t)p->ticks, "age", age > 0 ? age : 0.0, "unit", "", "folder",
                             "", "words", word_list(p));
  int failed = object ? 0 : 1;
  if (!failed)
    failed |= json_object_set_new(object, "command", json_stringn_nocheck(line, strlen(line)));
  if (!failed) failed |= json_object_set_new(object, "unit", dr__json_string(p->unit));
  if (!failed) failed |= json_object_set_new(object, "folder", dr__json_string(p->folder));
  if (!failed && owner) failed |= json_object_set_new(object, "owner", json_string(owner));
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

/* ------------------------------------------------------------ records */

/* Where the next "\nMARK\n" stands, or the end. */
static const char *find_mark(const char *at, const char *end, const char *mark, size_t size) {
  for (; at < end; at++) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (!at) return end;
    if ((size_t)(end - at) > size + 1 && strncmp(at + 1, mark, size) == 0 && at[size + 1] == '\n')
      return at;
  }
  return end;
}

/* "T 123.45" and the lines "N uid name" behind it. */
static bool read_head(record r, double *up, json_t *names) {
  char line[256];
  if (!take_text(&r, 'T', line, sizeof line)) return false;
  *up = strtod(line, NULL);
  while (take_text(&r, 'N', line, sizeof line)) {
    char *space = strchr(line, ' ');
    if (!space || space == line) continue;
    *space = '\0';
    if (!json_object_get(names, line)) json_object_set_new(names, line, json_string(space + 1));
  }
  return true;
}

static int add_record(json_t *list, record r, const json_t *names, double up,
                      const dr_process_filter *filter) {
  process p;
  if (!read_process(&p, r)) return 0;
  char *line = command_line(&p);
  if (!line) return -1;
  int failed = 0;
  if (is_wanted(&p, names, line, filter))
    failed = json_array_append_new(list, process_json(&p, names, line, up));
  free(line);
  return failed;
}

/* A place in the list that is sorted. */
typedef struct numbered {
  json_int_t pid;
  json_t *process; /* borrowed from the list */
} numbered;

static int by_pid(const void *a, const void *b) {
  json_int_t x = ((const numbered *)a)->pid;
  json_int_t y = ((const numbered *)b)->pid;
  return x < y ? -1 : x > y;
}

/* The shell names folders in the order of the alphabet: 10 before 9. Takes over list. */
static json_t *in_order(json_t *list) {
  size_t count = json_array_size(list);
  numbered *items = calloc(count + 1, sizeof *items);
  json_t *sorted = items ? json_array() : NULL;
  for (size_t i = 0; sorted && i < count; i++) {
    items[i].process = json_array_get(list, i);
    items[i].pid = json_integer_value(json_object_get(items[i].process, "pid"));
  }
  if (sorted) qsort(items, count, sizeof *items, by_pid);
  for (size_t i = 0; sorted && i < count; i++) json_array_append(sorted, items[i].process);
  free(items);
  json_decref(list);
  return sorted;
}

/* Adds the records up to the one that says the end; false when it is missing. */
static bool read_records(json_t *list, const char *at, const char *end, const char *mark,
                         const dr_process_filter *filter, int *failed) {
  size_t size = strlen(mark);
  double up = 0;
  json_t *names = json_object();
  bool head = true;
  bool whole = false;
  while (at < end && !whole && *failed == 0) {
    const char *next = find_mark(at, end, mark, size);
    record r = {.at = at, .left = (size_t)(next - at)};
    if (head && !read_head(r, &up, names)) break;
    if (!head) *failed = add_record(list, r, names, up, filter);
    head = false;
    at = next < end ? next + size + 2 : end;
    whole = end - at == 2 && at[0] == 'E' && at[1] == '\n';
  }
  json_decref(names);
  return whole;
}

json_t *dr__process_list(const char *bytes, size_t length, const char *mark,
                         const dr_process_filter *filter, dr_err *err) {
  size_t size = strlen(mark);
  int failed = 0;
  json_t *list = json_array();
  bool begun = length > size + 1 && strncmp(bytes, mark, size) == 0 && bytes[size] == '\n';
  if (list && begun &&
      read_records(list, bytes + size + 1, bytes + length, mark, filter, &failed) && failed == 0)
    return in_order(list);
  json_decref(list);
  if (failed || !list)
    dr__err_nomem(err);
  else
    dr__fail(err, "process.output", "the list of processes did not arrive whole");
  return NULL;
}

/* ------------------------------------------------------------ signals */

static const struct {
  const char *name;
  int number;
  bool message;
} signals[] = {{"HUP", 1, true},    {"INT", 2, false},   {"QUIT", 3, false},  {"ABRT", 6, false},
               {"KILL", 9, false},  {"USR1", 10, true},  {"USR2", 12, true},  {"ALRM", 14, true},
               {"TERM", 15, false}, {"CONT", 18, false}, {"STOP", 19, false}, {"TTIN", 21, true},
               {"TTOU", 22, true},  {"WINCH", 28, true}};

int dr__signal_number(const char *name) {
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (strcmp(signals[i].name, name) == 0) return signals[i].number;
  return 0;
}

bool dr__signal_is_message(int number) {
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (signals[i].number == number) return signals[i].message;
  return false;
}

/* The mask is a hexadecimal number, signal 1 its lowest bit. */
void dr__signal_pattern(int number, char *pattern, size_t size) {
  static const char *const digits[] = {"13579bdf", "2367abef", "4567cdef", "89abcdef"};
  int bit = (number - 1) % 4;
  int behind = (number - 1) / 4;
  int length = snprintf(pattern, size, "*[%s]", digits[bit]);
  for (int i = 0; i < behind && length > 0 && (size_t)length + 1 < size; i++) {
    pattern[length++] = '?';
    pattern[length] = '\0';
  }
}
