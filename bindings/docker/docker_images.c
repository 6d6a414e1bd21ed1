/* docker_images.c - the ops docker.images, docker.remove_image, docker.prunable and docker.prune.
 * Which images may go is decided in docker_prune.c. Called through the gate and from the loop, on
 * the runtime's thread.
 */
#include "docker_prune.h"
#include "docker_registry.h"
#include "docker_steps.h"

#include "core/err.h"
#include "docker_check.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { REMOVE_TIMEOUT = 300, USUAL_KEEP = 3 };

/* ------------------------------------------------------------ docker.images */

static json_t *named(json_t *names) {
  json_t *out = json_array(), *name;
  size_t i;
  json_array_foreach(names, i, name) {
    const char *text = json_string_value(name);
    if (text && strncmp(text, "<none>", 6) != 0) json_array_append(out, name);
  }
  return out;
}

static json_t *listed_image(const json_t *image) {
  json_t *labels = json_object_get(image, "Labels");
  json_t *out = json_pack("{s:o, s:o, s:I, s:I}", "tags", named(json_object_get(image, "RepoTags")),
                          "digests", named(json_object_get(image, "RepoDigests")), "created",
                          json_integer_value(json_object_get(image, "Created")), "size",
                          json_integer_value(json_object_get(image, "Size")));
  if (json_is_string(json_object_get(image, "Id")))
    json_object_set(out, "id", json_object_get(image, "Id"));
  json_object_set_new(out, "labels", json_is_object(labels) ? json_incref(labels) : json_object());
  return out;
}

static json_t *parse_images(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  json_t *images = json_array();
  size_t i;
  const json_t *image;
  (void)op;
  (void)err;
  json_array_foreach(answer->json, i, image) json_array_append_new(images, listed_image(image));
  return json_pack("{s:o}", "images", images);
}

/* {"reference": ["repository"], "dangling": ["true"]} */
static char *images_path(const dr_op *op) {
  json_t *filters = json_object();
  json_t *repository = dr__arg(op, "repository"), *labels = json_array(), *value;
  const char *key;
  if (repository) json_object_set_new(filters, "reference", json_pack("[O]", repository));
  if (dr__arg_boolean(op, "dangling", false))
    json_object_set_new(filters, "dangling", json_pack("[s]", "true"));
  json_object_foreach(dr__arg(op, "labels"), key, value)
    json_array_append_new(labels, json_sprintf("%s=%s", key, json_string_value(value)));
  if (json_array_size(labels) > 0) json_object_set(filters, "label", labels);
  char *text = json_dumps(filters, JSON_COMPACT);
  char *path = text ? dr__engine_path("/images/json?filters=", text, "") : NULL;
  free(text);
  json_decref(labels);
  json_decref(filters);
  return path;
}

static int start_images(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = images_path(op), .parse = parse_images};
  return dr__docker_call(op, &spec, err);
}

static char *preview_images(const dr_op *op) {
  const char *repository = dr__arg_string(op, "repository", "");
  return dr__http_format("docker images%s%s%s",
                         dr__arg_boolean(op, "dangling", false) ? " --filter dangling=true" : "",
                         repository[0] ? " " : "", repository);
}

static json_t *assume_images(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "images");
}

/* ------------------------------------------------------------ docker.remove_image */

static char *remove_path(const char *image, bool force) {
  return dr__engine_path("/images/", image, force ? "?force=1" : "");
}

/* The Engine's word is only "conflict". */
static void explain_in_use(dr_err *err) {
  if (strcmp(err->code, "docker.conflict") != 0) return;
  dr__copy_text(err->code, sizeof err->code, "docker.image_in_use");
  dr__err_hint(err, "a container was made from it, or it has more names: remove these first");
}

static void on_removed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  bool missing = err && strcmp(err->code, "docker.no_such_image") == 0;
  (void)answer;
  if (!err || missing) {
    dr__docker_steps_done(steps, json_pack("{s:b}", "unchanged", missing));
    return;
  }
  explain_in_use(err);
  dr__docker_steps_fail(steps, err);
}

static int start_remove_image(dr_op *op, dr_err *err) {
  dr_docker_steps *steps = dr__docker_steps_new(op, NULL, NULL, err);
  if (!steps) return DR_FAILED;
  const dr_docker_step step = {
      .method = "DELETE",
      .path = remove_path(dr__arg_string(op, "image", ""), dr__arg_boolean(op, "force", false)),
      .timeout_s = REMOVE_TIMEOUT,
      .changes = true,
      .next = on_removed};
  return dr__docker_steps_begin(steps, &step, err);
}

static char *preview_remove_image(const dr_op *op) {
  return dr__http_format("docker rmi %s%s", dr__arg_boolean(op, "force", false) ? "--force " : "",
                         dr__arg_string(op, "image", ""));
}

static json_t *assume_removed(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "unchanged", 0);
}

/* ------------------------------------------------------------ docker.prunable */

static dr_prune_rule rule_of(const dr_op *op) {
  return (dr_prune_rule){.repository = dr__arg_string(op, "repository", NULL),
                         .keep = dr__arg_integer(op, "keep", USUAL_KEEP),
                         .tagged = dr__arg_boolean(op, "tagged", false)};
}

static void on_containers(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const dr_prune_rule rule = rule_of(steps->op);
  if (err) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  dr__docker_steps_done(steps, dr__docker_prunable(steps->data, answer->json, &rule));
}

static void on_images(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  if (err) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  steps->data = json_incref(answer->json);
  const dr_docker_step step = {.path = strdup("/containers/json?all=1"), .next = on_containers};
  dr__docker_steps_go(steps, &step);
}

static void forget(void *json) {
  json_decref(json);
}

static int start_prunable(dr_op *op, dr_err *err) {
  dr_docker_steps *steps = dr__docker_steps_new(op, NULL, forget, err);
  if (!steps) return DR_FAILED;
  const dr_docker_step step = {.path = strdup("/images/json"), .next = on_images};
  return dr__docker_steps_begin(steps, &step, err);
}

static char *rule_text(const dr_op *op) {
  const dr_prune_rule rule = rule_of(op);
  if (!rule.repository) return strdup("images that have no name and no container");
  return dr__http_format("images of %s%s that no container uses, all but the newest %lld",
                         rule.repository, rule.tagged ? "" : " without a tag",
                         (long long)rule.keep);
}

static char *preview_prunable(const dr_op *op) {
  char *rule = rule_text(op);
  char *text = rule ? dr__http_format("which %s", rule) : NULL;
  free(rule);
  return text;
}

static json_t *assume_prunable(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:i}", "images", "kept", 0);
}

/* --------------------------------------------------------- docker.prune: one name after another */

typedef struct prune {
  size_t image; /* which of the op's images is at work, and which of its names */
  size_t ref;
  json_t *removed;
  json_t *skipped;
} prune;

static void prune_free(void *data) {
  prune *self = data;
  json_decref(self->removed);
  json_decref(self->skipped);
  free(self);
}

static json_t *image_at(const dr_docker_steps *steps) {
  const prune *self = steps->data;
  return json_array_get(dr__arg(steps->op, "images"), self->image);
}

static void remove_next(dr_docker_steps *steps);

/* An image that came into use since it was looked at stays; one that is gone is no failure. */
static void on_one_removed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  prune *self = steps->data;
  json_t *image = image_at(steps);
  json_t *id = json_object_get(image, "id");
  (void)answer;
  bool in_use = err && strcmp(err->code, "docker.conflict") == 0;
  if (err && !in_use && strcmp(err->code, "docker.no_such_image") != 0) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  bool last = ++self->ref >= json_array_size(json_object_get(image, "refs"));
  if (in_use) {
    json_array_append_new(self->skipped, json_pack("{s:O, s:s}", "id", id, "why", err->message));
  } else if (last) {
    json_array_append(self->removed, id);
  }
  if (last || in_use) {
    self->image++;
    self->ref = 0;
  }
  remove_next(steps);
}

static bool names_image(const json_t *image) {
  const json_t *refs = json_object_get(image, "refs");
  return json_is_string(json_object_get(image, "id")) && json_array_size(refs) > 0;
}

static void remove_next(dr_docker_steps *steps) {
  prune *self = steps->data;
  const json_t *image = image_at(steps);
  if (!image) {
    dr__docker_steps_done(steps, json_pack("{s:O, s:O, s:b}", "removed", self->removed, "skipped",
                                           self->skipped, "unchanged",
                                           json_array_size(self->removed) == 0));
    return;
  }
  const char *ref = json_string_value(json_array_get(json_object_get(image, "refs"), self->ref));
  const dr_docker_step step = {.method = "DELETE",
                               .path = remove_path(ref ? ref : "", false),
                               .timeout_s = REMOVE_TIMEOUT,
                               .changes = true,
                               .next = on_one_removed};
  dr__docker_steps_go(steps, &step);
}

static void on_begin(dr_docker_steps *steps) {
  remove_next(steps);
}

static int check_prune(const dr_op *op, dr_err *err) {
  size_t i;
  const json_t *image;
  json_array_foreach(dr__arg(op, "images"), i, image) {
    if (!names_image(image))
      return dr__fail(err, "recipe.argument", "images must be what docker:prunable returns");
  }
  return DR_OK;
}

static int start_prune(dr_op *op, dr_err *err) {
  prune *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->removed = json_array();
  self->skipped = json_array();
  dr_docker_steps *steps = dr__docker_steps_new(op, self, prune_free, err);
  if (!steps) return DR_FAILED;
  return dr__docker_steps_after(steps, 0.001, on_begin) == 0 ? 0 : dr__err_nomem(err);
}

static void add_image(dr_text *text, const json_t *image) {
  const char *id = json_string_value(json_object_get(image, "id"));
  size_t i;
  const json_t *tag;
  if (!id) return;
  if (strncmp(id, "sha256:", 7) == 0) id += 7;
  dr__text_printf(text, " %.12s", id);
  json_array_foreach(json_object_get(image, "tags"), i, tag)
    dr__text_printf(text, "%s%s", i == 0 ? " (" : ", ",
                    json_string_value(tag) ? json_string_value(tag) : "");
  if (i > 0) dr__text_puts(text, ")");
}

/* Each image by its id; the rule alone where they are not known yet. */
static char *preview_prune(const dr_op *op) {
  const json_t *images = dr__arg(op, "images"), *image;
  dr_text text = {0};
  size_t i;
  char *rule = rule_text(op);
  if (dr__arg_boolean(op, "unknown", false))
    dr__text_printf(&text, "docker rmi %s (which they are is known only then)", rule ? rule : "");
  else if (json_array_size(images) == 0)
    dr__text_printf(&text, "docker rmi nothing: there are no %s", rule ? rule : "");
  else
    dr__text_puts(&text, "docker rmi");
  json_array_foreach(images, i, image) add_image(&text, image);
  free(rule);
  return dr__text_take(&text);
}

static json_t *assume_prune(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:[], s:b}", "removed", "skipped", "unchanged", 0);
}

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }
#define RULE                                                                                       \
  {"repository", DR_ARG_STRING, 0}, {"keep", DR_ARG_INTEGER, 0}, {                                 \
    "tagged", DR_ARG_BOOLEAN, 0                                                                    \
  }

static const dr_arg images_args[] = {SOCKET,
                                     {"repository", DR_ARG_STRING, 0},
                                     {"labels", DR_ARG_MAP, 0},
                                     {"dangling", DR_ARG_BOOLEAN, 0},
                                     {0}};
static const dr_arg remove_args[] = {
    SOCKET, {"image", DR_ARG_STRING, DR_REQUIRED}, {"force", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg prunable_args[] = {SOCKET, RULE, {0}};
static const dr_arg prune_args[] = {
    SOCKET, RULE, {"images", DR_ARG_ANY, DR_REQUIRED}, {"unknown", DR_ARG_BOOLEAN, 0}, {0}};

static const dr_opspec ops[] = {
    {.name = "docker.images",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_IMAGES,
     .args = images_args,
     .preview = preview_images,
     .assume = assume_images,
     .start = start_images},
    {.name = "docker.remove_image",
     .check = dr__docker_check_image,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DESTRUCTIVE,
     .idempotent = true,
     .touches = DR_AREA_IMAGES,
     .args = remove_args,
     .preview = preview_remove_image,
     .assume = assume_removed,
     .start = start_remove_image},
    {.name = "docker.prunable",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_IMAGES | DR_AREA_CONTAINERS,
     .args = prunable_args,
     .preview = preview_prunable,
     .assume = assume_prunable,
     .start = start_prunable},
    {.name = "docker.prune",
     .check = check_prune,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DESTRUCTIVE,
     .idempotent = true,
     .touches = DR_AREA_IMAGES,
     .args = prune_args,
     .preview = preview_prune,
     .assume = assume_prune,
     .start = start_prune},
    {0},
};

const dr_binding dr__binding_docker_images = {.name = "docker_images", .ops = ops};
