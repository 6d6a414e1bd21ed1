/* docker_prune.c - see docker_prune.h. Pure, any thread. */
#include "docker_prune.h"

#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* True for "repository:tag" and "repository@digest". */
static bool is_of(const char *name, const char *repository) {
  size_t length = strlen(repository);
  return strncmp(name, repository, length) == 0 &&
         (name[length] == '@' || (name[length] == ':' && !strchr(name + length, '/')));
}

static bool is_nameless(const char *name) {
  return strncmp(name, "<none>", 6) == 0;
}

/* The image's tags without "<none>:<none>". New reference. */
static json_t *tags_of(const json_t *image) {
  json_t *tags = json_array(), *tag;
  size_t i;
  json_array_foreach(json_object_get(image, "RepoTags"), i, tag) {
    const char *name = json_string_value(tag);
    if (name && !is_nameless(name)) json_array_append(tags, tag);
  }
  return tags;
}

static bool any_of(const json_t *names, const char *repository) {
  size_t i;
  const json_t *name;
  json_array_foreach(names, i, name) {
    if (json_string_value(name) && is_of(json_string_value(name), repository)) return true;
  }
  return false;
}

static bool all_of(const json_t *names, const char *repository) {
  size_t i;
  const json_t *name;
  json_array_foreach(names, i, name) {
    if (!json_string_value(name) || !is_of(json_string_value(name), repository)) return false;
  }
  return true;
}

/* An image is of a repository by its tags, or by the digest it was pulled with. */
static bool belongs(const json_t *image, const char *repository) {
  return !repository || any_of(json_object_get(image, "RepoTags"), repository) ||
         any_of(json_object_get(image, "RepoDigests"), repository);
}

/* An unreadable id counts as used: what is not understood is not removed. */
static bool is_used(const json_t *image, const json_t *containers) {
  const char *id = text_at(image, "Id");
  size_t i;
  const json_t *container;
  json_array_foreach(containers, i, container) {
    if (strcmp(text_at(container, "ImageID"), id) == 0 ||
        strcmp(text_at(container, "Image"), id) == 0)
      return true;
  }
  return !id[0];
}

static bool may_go(const json_t *image, const json_t *tags, const json_t *containers,
                   const dr_prune_rule *rule) {
  if (is_used(image, containers)) return false;
  if (json_array_size(tags) == 0) return true;
  return rule->tagged && rule->repository && all_of(tags, rule->repository);
}

/* ------------------------------------------------------------ the list */

static int newest_first(const void *a, const void *b) {
  json_int_t one = json_integer_value(json_object_get(*(json_t *const *)a, "Created"));
  json_int_t two = json_integer_value(json_object_get(*(json_t *const *)b, "Created"));
  if (one != two) return one < two ? 1 : -1;
  return strcmp(text_at(*(json_t *const *)a, "Id"), text_at(*(json_t *const *)b, "Id"));
}

/* The images of the repository, newest first, borrowed; malloc'd, NULL when memory is short. */
static json_t **candidates(const json_t *images, const char *repository, size_t *count) {
  json_t **list = calloc(json_array_size(images) + 1, sizeof(json_t *));
  size_t i;
  json_t *image;
  *count = 0;
  if (!list) return NULL;
  json_array_foreach(images, i, image) {
    if (json_is_object(image) && belongs(image, repository)) list[(*count)++] = image;
  }
  qsort(list, *count, sizeof(void *), newest_first);
  return list;
}

static json_t *entry_of(const json_t *image, json_t *tags) {
  json_t *id = json_object_get(image, "Id");
  json_t *refs = json_array_size(tags) > 0 ? json_incref(tags) : json_pack("[O]", id);
  return json_pack("{s:O, s:O, s:I, s:I, s:o}", "id", id, "tags", tags, "created",
                   json_integer_value(json_object_get(image, "Created")), "size",
                   json_integer_value(json_object_get(image, "Size")), "refs", refs);
}

json_t *dr__docker_prunable(const json_t *images, const json_t *containers,
                            const dr_prune_rule *rule) {
  size_t count;
  json_t **list = candidates(images, rule->repository, &count);
  if (!list) return NULL;
  json_t *gone = json_array();
  int failed = gone ? 0 : -1;
  for (size_t i = 0; i < count && failed == 0; i++) {
    bool recent = rule->repository && (int64_t)i < rule->keep;
    json_t *tags = tags_of(list[i]);
    if (!recent && may_go(list[i], tags, containers, rule))
      failed = json_array_append_new(gone, entry_of(list[i], tags));
    json_decref(tags);
  }
  free(list);
  json_int_t kept = (json_int_t)(count - json_array_size(gone));
  if (failed == 0) return json_pack("{s:o, s:I}", "images", gone, "kept", kept);
  json_decref(gone);
  return NULL;
}
