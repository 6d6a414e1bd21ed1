/* manifest.c - lists of what is in a folder, and what differs between two (manifest.h). Called by
 * sync_op.c, on workers and on the runtime's thread. Reading a target's answer is fuzzed. */
#include "manifest.h"

#include "core/err.h"
#include "sha256.h"
#include "transfer.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void dr__manifest_free(dr_manifest *manifest) {
  for (size_t i = 0; i < manifest->count; i++) {
    free(manifest->entries[i].path);
    free(manifest->entries[i].link);
  }
  free(manifest->entries);
  free(manifest->user);
  *manifest = (dr_manifest){.available = -1};
}

dr_entry *dr__manifest_add(dr_manifest *m, const char *path, size_t length) {
  if (m->count == m->room) {
    size_t room = m->room ? m->room * 2 : 64;
    dr_entry *entries = realloc(m->entries, room * sizeof *entries);
    if (!entries) return NULL;
    m->entries = entries;
    m->room = room;
  }
  dr_entry *e = &m->entries[m->count];
  *e = (dr_entry){.path = strndup(path, length)};
  if (!e->path) return NULL;
  m->count++;
  return e;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const dr_entry *)a)->path, ((const dr_entry *)b)->path);
}

void dr__manifest_sort(dr_manifest *m) {
  if (m->count > 1) qsort(m->entries, m->count, sizeof *m->entries, by_path);
}

dr_entry *dr__manifest_find(const dr_manifest *m, const char *path) {
  const dr_entry wanted = {.path = (char *)path};
  return m->count > 0 ? bsearch(&wanted, m->entries, m->count, sizeof *m->entries, by_path) : NULL;
}

/* ------------------------------------------------------------ leaving out */

static bool matches(const char *pattern, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *inner = strchr(pattern, '/');
  if (inner && inner[1] != '\0')
    return fnmatch(pattern + (*pattern == '/'), path, FNM_PATHNAME) == 0;
  char bare[256];
  dr__copy_text(bare, sizeof bare, pattern);
  bare[strcspn(bare, "/")] = '\0'; /* "cache/" is cache */
  return fnmatch(bare, slash ? slash + 1 : path, 0) == 0;
}

static bool any_matches(const json_t *patterns, const char *path) {
  for (size_t i = 0; i < json_array_size(patterns); i++)
    if (matches(json_string_value(json_array_get(patterns, i)), path)) return true;
  return false;
}

bool dr__manifest_excludes(const json_t *patterns, const char *path) {
  if (json_array_size(patterns) == 0) return false;
  char *part = strdup(path);
  if (!part) return true; /* what is not understood is left alone */
  bool out = any_matches(patterns, path);
  for (char *slash = strchr(part, '/'); slash && !out; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    out = any_matches(patterns, part);
    *slash = '/';
  }
  free(part);
  return out;
}

void dr__manifest_drop(dr_manifest *m, const json_t *patterns) {
  size_t kept = 0;
  for (size_t i = 0; i < m->count; i++) {
    dr_entry e = m->entries[i];
    if (!dr__manifest_excludes(patterns, e.path)) {
      m->entries[kept++] = e;
      continue;
    }
    free(e.path);
    free(e.link);
  }
  m->count = kept;
}

/* ------------------------------------------------------------ a target's answer */

/* A path that stays inside: relative, without "..", "." or empty parts. */
static bool is_inside(const char *path) {
  for (const char *at = path; *at;) {
    size_t length = strcspn(at, "/");
    if (length == 0 || (length == 1 && at[0] == '.') || (length == 2 && strncmp(at, "..", 2) == 0))
      return false;
    at += length;
    if (*at == '/' && *++at == '\0') return false;
  }
  return *path != '\0';
}

static char type_of(unsigned long mode) {
  switch (mode & 0170000) {
  case 0100000: return 'f';
  case 0040000: return 'd';
  case 0120000: return 'l';
  default: return 'o';
  }
}

static bool take_word(const char **at, char *buffer, size_t size) {
  size_t length = strcspn(*at, " ");
  if (length == 0 || length >= size || (*at)[length] != ' ') return false;
  memcpy(buffer, *at, length);
  buffer[length] = '\0';
  *at += length + 1;
  return true;
}

/* The owner's name up to the path, which begins with "./" or is "."; a group may have a space in
 * its name. */
static bool take_owner(const char **at, char *buffer, size_t size) {
  const char *path = strstr(*at, " ./");
  size_t length = path ? (size_t)(path - *at) : strlen(*at);
  if (!path && length > 2 && strcmp(*at + length - 2, " .") == 0) length -= 2;
  if (length == 0 || length >= size || (*at)[length] != ' ') return false;
  memcpy(buffer, *at, length);
  buffer[length] = '\0';
  *at += length + 1;
  return true;
}

/* "81a4 12 0:0 root:root ./a/b": one record as an entry. The folder itself (".") is none. */
static bool read_record(dr_manifest *m, const char *record, dr_entry **out) {
  char mode[16], size[24], *end;
  dr_entry read = {0};
  const char *at = record;
  *out = NULL;
  if (!take_word(&at, mode, sizeof mode) || !take_word(&at, size, sizeof size) ||
      !take_word(&at, read.ids, sizeof read.ids) ||
      read.ids[strspn(read.ids, "0123456789:")] != '\0' ||
      !take_owner(&at, read.owner, sizeof read.owner))
    return false;
  unsigned long bits = strtoul(mode, &end, 16);
  if (*end) return false;
  if (strcmp(at, ".") == 0) {
    const char *group = strchr(read.ids, ':');
    if ((bits & S_ISGID) && group) dr__copy_text(m->group, sizeof m->group, group + 1);
    return true;
  }
  if (strncmp(at, "./", 2) != 0 || !is_inside(at + 2)) return false;
  long long bytes = strtoll(size, &end, 10);
  if (*end || bytes < 0) return false;
  dr_entry *e = *out = dr__manifest_add(m, at + 2, strlen(at + 2));
  if (!e) return false;
  read.path = e->path;
  read.type = type_of(bits);
  read.mode = (unsigned)bits & 07777;
  read.size = bytes;
  *e = read;
  return true;
}

static bool has_twins(const dr_manifest *m) {
  for (size_t i = 1; i < m->count; i++)
    if (strcmp(m->entries[i - 1].path, m->entries[i].path) == 0) return true;
  return false;
}

/* What is behind a word at the beginning of a record, or NULL. */
static const char *behind(const char *record, const char *word) {
  size_t length = strlen(word);
  return strncmp(record, word, length) == 0 ? record + length : NULL;
}

/* Reads a record about the whole: the room, the user, a folder that is closed. False when it is
 * none of these; *failed when memory is short. */
static bool read_remark(dr_manifest *m, dr_manifest *closed, const char *record, bool *failed) {
  const char *rest;
  if ((rest = behind(record, "available "))) {
    long long kilobytes = strtoll(rest, NULL, 10);
    if (kilobytes > 0 && kilobytes < INT64_MAX / 1024) m->available = kilobytes * 1024;
  } else if ((rest = behind(record, "user "))) {
    free(m->user);
    m->user = strdup(rest);
    *failed = *failed || !m->user;
  } else if ((rest = behind(record, "closed ./"))) {
    *failed = *failed || !dr__manifest_add(closed, rest, strlen(rest));
  } else {
    return false;
  }
  return true;
}

static void mark_closed(dr_manifest *m, const dr_manifest *closed) {
  for (size_t i = 0; i < closed->count; i++) {
    dr_entry *e = dr__manifest_find(m, closed->entries[i].path);
    if (e) e->closed = true;
  }
}

/* Reads records up to "end". False when that does not come, or one is odd. */
static bool read_records(dr_manifest *out, dr_manifest *closed, const char *bytes, size_t length) {
  bool failed = false;
  for (size_t at = 0; at < length && !failed;) {
    const char *record = bytes + at;
    size_t size = strnlen(record, length - at);
    if (size == length - at) return false;
    at += size + 1;
    if (strcmp(record, "end") == 0) return true;
    if (read_remark(out, closed, record, &failed)) continue;
    dr_entry *e;
    if (!read_record(out, record, &e)) return false;
    if (!e || e->type != 'l') continue;
    size = strnlen(bytes + at, length - at);
    if (size == length - at || !(e->link = strndup(bytes + at, size))) return false;
    at += size + 1;
  }
  return false;
}

/* Records end with a zero byte; a link's is followed by what it says; "end" is the last. */
bool dr__manifest_read(dr_manifest *out, const char *bytes, size_t length) {
  dr_manifest closed = {0};
  *out = (dr_manifest){.available = -1};
  bool ended = read_records(out, &closed, bytes, length);
  dr__manifest_sort(out);
  bool read = ended && !has_twins(out);
  if (read) mark_closed(out, &closed);
  dr__manifest_free(&closed);
  return read;
}

/* ------------------------------------------------------------ digest */

void dr__manifest_digest(const dr_manifest *m, char hex[65]) {
  dr_sha256 hash;
  char line[128];
  dr__sha256_init(&hash);
  for (size_t i = 0; i < m->count; i++) {
    const dr_entry *e = &m->entries[i];
    int length = snprintf(line, sizeof line, "%c %o %s ", e->type, e->mode, e->sha256);
    dr__sha256_add(&hash, line, (size_t)length);
    dr__sha256_add(&hash, e->path, strlen(e->path) + 1);
    if (e->link) dr__sha256_add(&hash, e->link, strlen(e->link) + 1);
  }
  dr__sha256_hex(&hash, hex);
}

/* ------------------------------------------------------------ comparing */

unsigned dr__sync_mode(const dr_entry *e, const dr_sync_rules *rules) {
  const char *given = e->type == 'd' ? rules->dir_mode : rules->mode;
  return given ? (unsigned)strtoul(given, NULL, 8) : e->mode;
}

bool dr__manifest_must_hash(const dr_manifest *here, const dr_entry *there) {
  const dr_entry *e = there->type == 'f' ? dr__manifest_find(here, there->path) : NULL;
  return e && e->type == 'f' && e->size == there->size;
}

bool dr__manifest_read_hashes(const dr_manifest *here, dr_manifest *there, const char *text) {
  for (size_t i = 0; i < there->count; i++) {
    dr_entry *e = &there->entries[i];
    if (here ? !dr__manifest_must_hash(here, e) : e->type != 'f') continue;
    if (strspn(text, "0123456789abcdef") != 64 || text[64] != '\n') return false;
    memcpy(e->sha256, text, 64);
    text += 65;
  }
  return strcmp(text, "end\n") == 0;
}

static bool same_content(const dr_entry *a, const dr_entry *b) {
  switch (a->type) {
  case 'f': return a->size == b->size && strcmp(a->sha256, b->sha256) == 0;
  case 'l': return a->link && b->link && strcmp(a->link, b->link) == 0;
  default: return true;
  }
}

static bool is_adjusted(const dr_entry *e, const dr_entry *there, const dr_sync_rules *rules) {
  bool mode_matters = e->type == 'f' || (e->type == 'd' && rules->dir_mode);
  if (mode_matters && dr__sync_mode(e, rules) != there->mode) return false;
  dr_transfer_facts facts = {.found = true};
  memcpy(facts.ids, there->ids, sizeof facts.ids);
  memcpy(facts.owner, there->owner, sizeof facts.owner);
  return !rules->owner || dr__transfer_owned(&facts, rules->owner);
}

/* True when the number is among those of the text, which are parted by spaces. */
static bool has_number(const char *text, const char *number) {
  size_t length = strlen(number);
  for (const char *at = text; *at; at += strcspn(at, " ")) {
    at += strspn(at, " ");
    if (strcspn(at, " ") == length && strncmp(at, number, length) == 0) return true;
  }
  return false;
}

static bool is_root(const dr_manifest *there) {
  return strncmp(there->user, "0:", 2) == 0;
}

/* The group of something that belongs to the target's user, or NULL: it is somebody else's. */
static const char *group_of_mine(const dr_manifest *there, const dr_entry *old) {
  size_t user = strcspn(there->user, ":") + 1;
  return strncmp(old->ids, there->user, user) == 0 ? old->ids + user : NULL;
}

/* True when a new file in the target's folder belongs to those that the old one does. */
static bool is_ours(const dr_manifest *there, const dr_entry *old) {
  const char *group = group_of_mine(there, old), *mine = strchr(there->user, ':');
  if (!group || !mine) return false;
  if (there->group[0]) return strcmp(group, there->group) == 0;
  size_t length = strcspn(++mine, " ");
  return strlen(group) == length && strncmp(group, mine, length) == 0;
}

/* True when the target's user can give a new file the owner and group of the old one: root, and
 * one of the group. */
static bool can_own(const dr_manifest *there, const dr_entry *old) {
  const char *group = group_of_mine(there, old);
  return is_root(there) || (group && has_number(there->user + strcspn(there->user, " "), group));
}

/* Whose a file is stays as it was, unless the rules say otherwise. */
static void judge_owner(dr_sync_plan *plan, size_t i, const dr_manifest *there, const dr_entry *old,
                        const dr_sync_rules *rules) {
  if (!old || !there->user || plan->here[i] == DR_CHANGE_NONE || plan->clear[i]) return;
  bool replaced = plan->here[i] == DR_CHANGE_SEND && old->type != 'd';
  bool mine = is_root(there) || group_of_mine(there, old);
  plan->own[i] = replaced && !rules->owner && !is_ours(there, old);
  bool refused = plan->own[i] ? !can_own(there, old) : !replaced && !mine;
  if (refused && !plan->foreign) plan->foreign = old;
}

static void judge(dr_sync_plan *plan, const dr_manifest *here, size_t i, const dr_entry *there,
                  const dr_sync_rules *rules) {
  const dr_entry *e = &here->entries[i];
  bool clash = there && there->type != e->type;
  /* rename() replaces a file by a link and a link by a file; only folders are in the way. */
  if (clash && (e->type == 'd' || there->type == 'd' || there->type == 'o')) {
    plan->clear[i] = true;
    if (!rules->remove && !plan->blocked) plan->blocked = e->path;
  }
  if (!there || clash || !same_content(e, there))
    plan->here[i] = DR_CHANGE_SEND;
  else if (!is_adjusted(e, there, rules))
    plan->here[i] = DR_CHANGE_ADJUST;
  plan->send += plan->here[i] == DR_CHANGE_SEND;
  plan->adjust += plan->here[i] == DR_CHANGE_ADJUST;
  if (plan->here[i] == DR_CHANGE_SEND && e->type == 'f') plan->bytes += e->size;
}

/* What is not in the source goes; so does what is of another kind, with all that is in it. */
static void judge_rest(dr_sync_plan *plan, const dr_manifest *here, const dr_manifest *there,
                       const dr_sync_rules *rules) {
  for (size_t i = 0; rules->remove && i < there->count; i++) {
    const dr_entry *e = &there->entries[i];
    const dr_entry *source = dr__manifest_find(here, e->path);
    bool replaced = source && plan->clear[source - here->entries];
    plan->gone[i] = (!source || replaced) && !dr__manifest_excludes(rules->exclude, e->path);
    plan->remove += plan->gone[i] && !source;
  }
}

/* The folder of the target that a path is in, or NULL. */
static const dr_entry *folder_of(const dr_manifest *there, const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, (size_t)(slash - path)) : NULL;
  const dr_entry *e = folder ? dr__manifest_find(there, folder) : NULL;
  free(folder);
  return e;
}

/* Nothing is sent where a folder may not be changed: that would be found in the middle. */
static void judge_folders(dr_sync_plan *plan, const dr_manifest *here, const dr_manifest *there) {
  for (size_t i = 0; !plan->closed && i < here->count; i++) {
    if (plan->here[i] != DR_CHANGE_SEND) continue;
    const dr_entry *folder = folder_of(there, here->entries[i].path);
    if (folder && folder->closed) plan->closed = folder;
  }
  for (size_t i = 0; !plan->closed && i < there->count; i++) {
    const dr_entry *folder = plan->gone[i] ? folder_of(there, there->entries[i].path) : NULL;
    if (folder && folder->closed) plan->closed = folder;
  }
}

bool dr__manifest_compare(dr_sync_plan *out, const dr_manifest *here, const dr_manifest *there,
                          const dr_sync_rules *rules) {
  *out = (dr_sync_plan){0};
  size_t rest = there ? there->count : 0;
  out->here = calloc(here->count + 1, sizeof *out->here);
  out->clear = calloc(here->count + 1, sizeof *out->clear);
  out->gone = calloc(rest + 1, sizeof *out->gone);
  out->have = calloc(here->count + 1, sizeof *out->have);
  out->own = calloc(here->count + 1, sizeof *out->own);
  out->remode = calloc(here->count + 1, sizeof *out->remode);
  if (!out->here || !out->clear || !out->gone || !out->have || !out->own || !out->remode)
    return false;
  for (size_t i = 0; i < here->count; i++) {
    const dr_entry *old = there ? dr__manifest_find(there, here->entries[i].path) : NULL;
    judge(out, here, i, old, rules);
    judge_owner(out, i, there, old, rules);
  }
  if (there) judge_rest(out, here, there, rules);
  if (there) judge_folders(out, here, there);
  return true;
}

void dr__sync_plan_free(dr_sync_plan *plan) {
  free(plan->here);
  free(plan->clear);
  free(plan->gone);
  free(plan->have);
  free(plan->own);
  free(plan->remode);
  *plan = (dr_sync_plan){0};
}
