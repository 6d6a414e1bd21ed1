/* view.c - counted references to transports and targets, and the making of views.
 *
 * Owns the life of dr_transport and dr_target. Called by every binding that has a target, by the
 * gate (which references the target of an op) and by target.c; on the runtime's thread only. A
 * dr_target is never changed once it was handed out: each function here that changes one copies it
 * first.
 */
#include "sudo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dr_transport *dr__transport_ref(dr_transport *transport) {
  transport->references++;
  return transport;
}

void dr__transport_unref(dr_transport *transport) {
  if (!transport || --transport->references > 0) return;
  (void)dr__sudo_keep(transport, NULL);
  transport->klass->destroy(transport);
}

dr_target *dr__target_ref(dr_target *target) {
  target->references++;
  return target;
}

void dr__target_unref(dr_target *target) {
  if (!target || --target->references > 0) return;
  dr__transport_unref(target->transport);
  dr__target_unref(target->within);
  json_decref(target->env);
  json_decref(target->enter);
  free(target->name);
  free(target->cwd);
  free(target->user);
  free(target);
}

dr_target *dr__target_new(dr_transport *transport, const char *name) {
  dr_target *target = calloc(1, sizeof *target);
  if (!target) return NULL;
  target->references = 1;
  target->transport = dr__transport_ref(transport);
  target->name = strdup(name);
  if (target->name) return target;
  dr__target_unref(target);
  return NULL;
}

/* Duplicates `text` unless it is NULL; false when memory is short. */
static bool duplicate(char **out, const char *text) {
  *out = text ? strdup(text) : NULL;
  return !text || *out;
}

dr_target *dr__target_copy(const dr_target *from) {
  dr_target *target = dr__target_new(from->transport, from->name);
  if (!target) return NULL;
  target->sudo = from->sudo;
  target->within = from->within ? dr__target_ref(from->within) : NULL;
  target->enter = json_incref(from->enter); /* never changed, so it may be shared */
  target->env = json_incref(from->env);
  if (duplicate(&target->cwd, from->cwd) && duplicate(&target->user, from->user)) return target;
  dr__target_unref(target);
  return NULL;
}

dr_target *dr__target_within(dr_target *outer, const char *name, const json_t *words) {
  dr_target *target = dr__target_new(outer->transport, name);
  if (!target) return NULL;
  target->within = dr__target_ref(outer);
  target->enter = json_deep_copy(words);
  if (target->enter) return target;
  dr__target_unref(target);
  return NULL;
}

/* `base`/`folder` in malloc'd memory. */
static char *join(const char *base, const char *folder) {
  size_t length = strlen(base);
  bool ended = length > 0 && base[length - 1] == '/';
  char *path = NULL;
  return asprintf(&path, "%s%s%s", base, ended ? "" : "/", folder) < 0 ? NULL : path;
}

dr_target *dr__target_cd(const dr_target *from, const char *folder) {
  dr_target *target = dr__target_copy(from);
  if (!target) return NULL;
  bool replaces = !from->cwd || folder[0] == '/' || folder[0] == '~';
  char *cwd = replaces ? strdup(folder) : join(from->cwd, folder);
  if (!cwd) {
    dr__target_unref(target);
    return NULL;
  }
  free(target->cwd);
  target->cwd = cwd;
  return target;
}

dr_target *dr__target_env(const dr_target *from, const json_t *env) {
  dr_target *target = dr__target_copy(from);
  json_t *merged = from->env ? json_copy(from->env) : json_object();
  if (!target || !merged || json_object_update(merged, (json_t *)env) != 0) {
    dr__target_unref(target);
    json_decref(merged);
    return NULL;
  }
  json_decref(target->env);
  target->env = merged;
  return target;
}

dr_target *dr__target_sudo(const dr_target *from, const char *user) {
  dr_target *target = dr__target_copy(from);
  if (!target) return NULL;
  free(target->user);
  target->sudo = true;
  if (duplicate(&target->user, user)) return target;
  dr__target_unref(target);
  return NULL;
}

bool dr__env_name_ok(const char *name) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  size_t length = strlen(name);
  return length > 0 && strchr(letters, name[0]) &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == length;
}
