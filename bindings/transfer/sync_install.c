/* sync_install.c - see sync_install.h. Called by sync_op.c. */
#include "sync_install.h"

#include "target/target.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_A_LINE = 50 };

/* Adds './PATH', quoted. */
static void add_path(dr_text *out, const char *path) {
  dr_text whole = {0};
  dr__text_printf(&whole, "./%s", path);
  char *quoted = whole.bytes ? dr__folder_quote(whole.bytes) : NULL;
  if (quoted)
    dr__text_puts(out, quoted);
  else
    out->failed = true;
  free(quoted);
  dr__text_free(&whole);
}

/* One command on many names: begun and ended as they come. */
typedef struct batch {
  dr_text *out;
  size_t names;
} batch;

static void end_batch(batch *b, const char *tail) {
  if (b->names > 0) dr__text_printf(b->out, "%s\n", tail);
  b->names = 0;
}

/* ------------------------------------------------------------ what goes */

/* True when the path, or a folder it is in, is to become something of another kind. */
static bool is_cleared(const dr_manifest *here, const dr_sync_plan *plan, const char *path) {
  char *part = strdup(path);
  bool cleared = false;
  for (char *end = part ? part + strlen(part) : NULL; end && !cleared;) {
    *end = '\0';
    const dr_entry *e = dr__manifest_find(here, part);
    cleared = e && plan->clear[e - here->entries];
    end = strrchr(part, '/');
  }
  free(part);
  return cleared;
}

/* What is in a folder goes before it. A folder that still holds something (left out by a pattern)
 * stays. */
static void add_removals(dr_text *out, const dr_manifest *here, const dr_manifest *there,
                         const dr_sync_plan *plan, bool cleared) {
  batch b = {.out = out};
  for (size_t i = there ? there->count : 0; i-- > 0;) {
    const dr_entry *e = &there->entries[i];
    if (!plan->gone[i] || is_cleared(here, plan, e->path) != cleared) continue;
    if (e->type == 'd') {
      end_batch(&b, "");
      dr__text_puts(out, "rmdir -- ");
      add_path(out, e->path);
      dr__text_puts(out, " 2>/dev/null || :\n");
      continue;
    }
    dr__text_puts(out, b.names == 0 ? "rm -f -- " : " ");
    add_path(out, e->path);
    if (++b.names == NAMES_A_LINE) end_batch(&b, "");
  }
  end_batch(&b, "");
}

/* ------------------------------------------------------------ what comes */

static void add_folders(dr_text *out, const dr_manifest *here, const dr_sync_plan *plan) {
  for (size_t i = 0; i < here->count; i++) {
    if (here->entries[i].type != 'd' || plan->here[i] != DR_CHANGE_SEND) continue;
    dr__text_puts(out, "mkdir -- ");
    add_path(out, here->entries[i].path);
    dr__text_puts(out, "\n");
  }
}

/* A new file is given to those whose the old one was while nobody sees it yet. */
static void add_owners(dr_text *out, const dr_manifest *here, const dr_manifest *there,
                       const dr_sync_plan *plan) {
  static const char tail[] = " || exit 30";
  batch b = {.out = out};
  const char *last = "";
  for (size_t i = 0; i < here->count; i++) {
    const char *path = here->entries[i].path;
    const dr_entry *old = there && plan->own[i] ? dr__manifest_find(there, path) : NULL;
    if (!old) continue;
    if (b.names == NAMES_A_LINE || strcmp(last, old->ids) != 0) end_batch(&b, tail);
    if (b.names == 0) dr__text_printf(out, "chown -h %s", old->ids);
    dr__text_puts(out, " \"$s\"/new/");
    add_path(out, path);
    b.names++;
    last = old->ids;
  }
  end_batch(&b, tail);
}

static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) : 0;
}

static void end_moves(batch *b, const char *path, size_t folder) {
  if (b->names == 0) return;
  char *name = strndup(path, folder);
  dr__text_puts(b->out, " ");
  add_path(b->out, name ? name : "");
  dr__text_puts(b->out, folder > 0 ? "/" : "");
  if (!name) b->out->failed = true;
  free(name);
  end_batch(b, "");
}

/* Files and links of one folder are moved by one command. */
static void add_moves(dr_text *out, const dr_manifest *here, const dr_sync_plan *plan) {
  batch b = {.out = out};
  const char *last = NULL;
  for (size_t i = 0; i < here->count; i++) {
    const dr_entry *e = &here->entries[i];
    if (e->type == 'd' || plan->here[i] != DR_CHANGE_SEND) continue;
    size_t folder = folder_length(e->path);
    bool other = last && (folder_length(last) != folder || strncmp(last, e->path, folder) != 0);
    if (other || b.names == NAMES_A_LINE) end_moves(&b, last, folder_length(last));
    dr__text_puts(out, b.names == 0 ? "mv -f -- \"$s\"/new/" : " \"$s\"/new/");
    add_path(out, e->path);
    b.names++;
    last = e->path;
  }
  if (last) end_moves(&b, last, folder_length(last));
}

/* Innermost first: a folder that may not be written to any more is the last of what is in it. */
static void add_adjustments(dr_text *out, const dr_manifest *here, const dr_sync_plan *plan,
                            const dr_sync_rules *rules) {
  for (size_t i = here->count; i-- > 0;) {
    const dr_entry *e = &here->entries[i];
    bool folder = e->type == 'd' && plan->here[i] == DR_CHANGE_SEND;
    /* A change of the owner takes such bits away. */
    bool remode = plan->remode[i] || (plan->own[i] && (dr__sync_mode(e, rules) & 07000));
    if (!folder && !remode && plan->here[i] != DR_CHANGE_ADJUST) continue;
    if (rules->owner && !remode) {
      char *owner = dr__folder_quote(rules->owner);
      dr__text_printf(out, "chown -h %s ", owner ? owner : "");
      add_path(out, e->path);
      dr__text_puts(out, "\n");
      free(owner);
    }
    if (e->type == 'l' || (e->type == 'd' && !folder && !rules->dir_mode)) continue;
    dr__text_printf(out, "chmod %o ", dr__sync_mode(e, rules));
    add_path(out, e->path);
    dr__text_puts(out, "\n");
  }
}

char *dr__sync_install_script(const dr_manifest *here, const dr_manifest *there,
                              const dr_sync_plan *plan, const dr_sync_rules *rules) {
  dr_text out = {0};
  dr__text_puts(&out, "");
  add_owners(&out, here, there, plan);
  add_removals(&out, here, there, plan, true);
  add_folders(&out, here, plan);
  add_moves(&out, here, plan);
  add_adjustments(&out, here, plan, rules);
  add_removals(&out, here, there, plan, false);
  dr__text_puts(&out, "exit 0\n");
  return dr__text_take(&out);
}

/* ------------------------------------------------------------ the archive */

/* `have` bytes of it are there already: the rest is added to them there. */
static bool add_entry(dr_tar *tar, const dr_entry *e, int64_t have, const dr_sync_rules *rules) {
  dr_text path = {0};
  dr__text_printf(&path, "%s/%s", have > 0 ? "rest" : "new", e->path);
  bool added = path.bytes && !path.failed;
  if (added && e->type == 'f' && (have < e->size || e->size == 0))
    added = dr__tar_add_file(tar, path.bytes, e->path, have > 0 ? 0600 : dr__sync_mode(e, rules),
                             have, e->size - have);
  else if (added && e->type == 'l')
    added = dr__tar_add_link(tar, path.bytes, e->link);
  dr__text_free(&path);
  return added;
}

static bool add_control(dr_tar *tar, const dr_manifest *here, const dr_sync_plan *plan,
                        const char *script) {
  dr_text names = {0}, sums = {0};
  for (size_t i = 0; i < here->count; i++) {
    const dr_entry *e = &here->entries[i];
    if (e->type != 'f' || plan->here[i] != DR_CHANGE_SEND) continue;
    dr__text_puts(&names, "./");
    dr__text_add(&names, e->path, strlen(e->path) + 1);
    dr__text_printf(&sums, "%s\n", e->sha256);
  }
  bool added = script && !names.failed && !sums.failed &&
               dr__tar_add_text(tar, "names", names.bytes, names.length) &&
               dr__tar_add_text(tar, "sums", sums.bytes, sums.length);
  dr__text_free(&names);
  dr__text_free(&sums);
  return added;
}

dr_tar *dr__sync_archive(const char *root, const dr_manifest *here, const dr_manifest *there,
                         const dr_sync_plan *plan, const dr_sync_rules *rules) {
  dr_tar *tar = dr__tar_new(root);
  char *script = dr__sync_install_script(here, there, plan, rules);
  bool whole = tar && add_control(tar, here, plan, script);
  for (size_t i = 0; whole && i < here->count; i++)
    if (plan->here[i] == DR_CHANGE_SEND && here->entries[i].type != 'd')
      whole = add_entry(tar, &here->entries[i], plan->have[i], rules);
  /* The last: an archive that was cut off has none. */
  whole = whole && dr__tar_add_text(tar, "install", script, strlen(script));
  free(script);
  if (whole) return tar;
  dr__tar_free(tar);
  return NULL;
}
