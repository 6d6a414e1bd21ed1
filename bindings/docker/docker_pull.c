/* docker_pull.c - the ops docker.pull, docker.push and docker.login: images and a registry, through
 * the Engine. Called through the gate and from the loop, on the runtime's thread.
 *
 * Credentials go to the Engine in a header of the call and nowhere else: no configuration file is
 * read or written, on either side.
 */
#include "docker_progress.h"
#include "docker_registry.h"
#include "docker_steps.h"

#include "core/err.h"
#include "docker_check.h"
#include "docker_json.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_TIMEOUT = 3600, LOGIN_TIMEOUT = 60 };
#define SHOW_AFTER 0.1 /* seconds */

typedef struct transfer {
  dr_image_name name;
  dr_progress progress;
  char before[80]; /* id of the image that had the name, or "" */
  bool showing;    /* a timer will show how far it is */
  bool begun;      /* something was shown */
} transfer;

static void transfer_free(void *data) {
  transfer *self = data;
  dr__progress_free(&self->progress);
  free(self);
}

static const char *image_of(const dr_op *op) {
  return dr__arg_string(op, "image", "");
}

/* ------------------------------------------------------------ while it is under way */

static void show(dr_docker_steps *steps) {
  transfer *self = steps->data;
  char shown[200];
  self->showing = false;
  self->begun = true;
  dr__progress_show(&self->progress, shown, sizeof shown);
  dr__op_progress(steps->op, "%s: %s", image_of(steps->op), shown);
}

/* Shows what came soon afterwards, together with what comes until then. */
static int on_body(void *data, const char *bytes, size_t length) {
  dr_docker_steps *steps = data;
  transfer *self = steps->data;
  dr__progress_feed(&self->progress, bytes, length);
  if (!self->showing) self->showing = dr__docker_steps_after(steps, SHOW_AFTER, show) == 0;
  return 0;
}

static const char *verb_of(const dr_docker_steps *steps) {
  return strchr(steps->op->spec->name, '.') + 1;
}

/* What a call that was refused, or broke off, means here. */
static void refuse(dr_docker_steps *steps, dr_err *err) {
  dr_err problem = DR_ERR_INIT;
  const char *verb = verb_of(steps);
  const dr_err *cause = err->cause;
  bool begun = ((transfer *)steps->data)->begun;
  bool closed = cause && strcmp(cause->code, "http.closed") == 0;
  if (strcmp(err->code, "docker.unreachable") == 0 && (closed || begun)) {
    dr__fail(&problem, "docker.engine_lost", "the Docker Engine ended during the %s of %s", verb,
             image_of(steps->op));
    dr__err_hint(&problem, "start it again (systemctl start docker) and repeat: layers that are "
                           "complete are kept");
    dr__err_because(&problem, err);
  } else if (strcmp(err->code, "docker.timeout") == 0) {
    dr__fail(&problem, strcmp(verb, "pull") == 0 ? "docker.pull_failed" : "docker.push_failed",
             "the %s of %s was not finished within %g s", verb, image_of(steps->op),
             dr__arg_number(steps->op, "timeout", USUAL_TIMEOUT));
    dr__err_hint(&problem, "if it may take longer, say timeout = seconds");
  } else if (strncmp(err->code, "docker.", 7) == 0 && !cause) {
    dr__registry_explain(&problem, verb, image_of(steps->op), err->message);
  } else {
    dr__err_move(&problem, err);
  }
  dr__docker_steps_fail(steps, &problem);
}

/* True when the stream ended well; else the op has failed. */
static bool went_well(dr_docker_steps *steps, dr_err *err) {
  transfer *self = steps->data;
  dr_err problem = DR_ERR_INIT;
  dr__docker_steps_after(steps, 0, NULL);
  dr__progress_end(&self->progress);
  if (self->progress.error[0]) {
    dr__registry_explain(&problem, verb_of(steps), image_of(steps->op), self->progress.error);
  } else if (err) {
    refuse(steps, err);
    return false;
  } else if (!self->progress.ended) {
    dr__fail(&problem, "docker.engine_lost",
             "the Docker Engine ended during the %s of %s: it never said that it is done",
             verb_of(steps), image_of(steps->op));
    dr__err_hint(&problem, "does it still run? Repeat: layers that are complete are kept");
  } else {
    return true;
  }
  dr__docker_steps_fail(steps, &problem);
  return false;
}

/* ------------------------------------------------------------ docker.pull: look, pull, look */

static char *inspect_path(const dr_op *op) {
  return dr__engine_path("/images/", image_of(op), "/json");
}

/* The digest of the image in the repository it was pulled from, or "". */
static const char *digest_of(const transfer *self, const json_t *inspected) {
  size_t i, length = strlen(self->name.repository);
  const json_t *digest;
  if (self->progress.digest[0]) return self->progress.digest;
  json_array_foreach(json_object_get(inspected, "RepoDigests"), i, digest) {
    const char *text = json_string_value(digest);
    if (text && strncmp(text, self->name.repository, length) == 0 && text[length] == '@')
      return text + length + 1;
  }
  return "";
}

static void on_pulled_image(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const transfer *self = steps->data;
  if (err) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  const char *id = json_string_value(json_object_get(answer->json, "Id"));
  bool changed = !id || strcmp(id, self->before) != 0;
  dr__docker_steps_done(steps,
                        json_pack("{s:s, s:s, s:s, s:b, s:b}", "image", image_of(steps->op), "id",
                                  id ? id : "", "digest", digest_of(self, answer->json), "changed",
                                  changed, "unchanged", !changed));
}

static void on_pulled(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (!went_well(steps, err)) return;
  const dr_docker_step step = {.path = inspect_path(steps->op), .next = on_pulled_image};
  dr__docker_steps_go(steps, &step);
}

static char *pull_path(const dr_op *op, const dr_image_name *name) {
  const char *platform = dr__arg_string(op, "platform", "");
  char *from = dr__engine_path("/images/create?fromImage=", name->repository, "&tag=");
  char *tagged = from ? dr__engine_path(from, name->tag, platform[0] ? "&platform=" : "") : NULL;
  char *path = tagged ? dr__engine_path(tagged, platform, "") : NULL;
  free(tagged);
  free(from);
  return path;
}

static json_t *headers_of(const dr_op *op, const transfer *self) {
  return dr__registry_headers(dr__arg(op, "auth"), self->name.registry);
}

static void on_looked(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  transfer *self = steps->data;
  const dr_op *op = steps->op;
  if (err && strcmp(err->code, "docker.no_such_image") != 0) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  const char *id = answer ? json_string_value(json_object_get(answer->json, "Id")) : NULL;
  dr__copy_text(self->before, sizeof self->before, id ? id : "");
  const dr_docker_step step = {.method = "POST",
                               .path = pull_path(op, &self->name),
                               .headers = headers_of(op, self),
                               .timeout_s = dr__arg_number(op, "timeout", USUAL_TIMEOUT),
                               .on_body = on_body,
                               .next = on_pulled};
  dr__docker_steps_go(steps, &step);
}

/* NULL with err filled when it fails. */
static dr_docker_steps *begin_transfer(dr_op *op, dr_err *err) {
  transfer *self = calloc(1, sizeof *self);
  if (!self) {
    dr__err_nomem(err);
    return NULL;
  }
  dr__progress_init(&self->progress);
  if (dr__image_name(image_of(op), &self->name, err) == 0)
    return dr__docker_steps_new(op, self, transfer_free, err);
  transfer_free(self);
  return NULL;
}

static int start_pull(dr_op *op, dr_err *err) {
  dr_docker_steps *steps = begin_transfer(op, err);
  const dr_docker_step step = {.path = inspect_path(op), .next = on_looked};
  if (steps) return dr__docker_steps_begin(steps, &step, err);
  free(step.path);
  return DR_FAILED;
}

static char *preview_pull(const dr_op *op) {
  const char *platform = dr__arg_string(op, "platform", "");
  return dr__http_format("docker pull %s%s%s%s", platform[0] ? "--platform " : "", platform,
                         platform[0] ? " " : "", image_of(op));
}

static json_t *assume_pull(const dr_op *op) {
  return json_pack("{s:s, s:s, s:s, s:b, s:b}", "image", image_of(op), "id", "sha256:unknown",
                   "digest", "", "changed", 1, "unchanged", 0);
}

/* ------------------------------------------------------------ docker.push */

static void on_pushed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const transfer *self = steps->data;
  (void)answer;
  if (!went_well(steps, err)) return;
  dr__docker_steps_done(steps, json_pack("{s:s, s:s}", "image", image_of(steps->op), "digest",
                                         self->progress.digest));
}

static int start_push(dr_op *op, dr_err *err) {
  dr_docker_steps *steps = begin_transfer(op, err);
  if (!steps) return DR_FAILED;
  const transfer *self = steps->data;
  char *after = dr__engine_path("/push?tag=", self->name.tag, "");
  const dr_docker_step step = {
      .method = "POST",
      .path = after ? dr__http_format("/images/%s%s", self->name.repository, after) : NULL,
      .headers = headers_of(op, self),
      .timeout_s = dr__arg_number(op, "timeout", USUAL_TIMEOUT),
      .on_body = on_body,
      .next = on_pushed};
  free(after);
  return dr__docker_steps_begin(steps, &step, err);
}

static char *preview_push(const dr_op *op) {
  return dr__http_format("docker push %s", image_of(op));
}

static json_t *assume_push(const dr_op *op) {
  return json_pack("{s:s, s:s}", "image", image_of(op), "digest", "");
}

/* ------------------------------------------------------------ docker.login */

static void on_logged_in(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const char *registry = dr__arg_string(steps->op, "registry", "");
  dr_err problem = DR_ERR_INIT;
  (void)answer;
  if (!err) {
    dr__docker_steps_done(steps, json_pack("{s:b, s:s}", "ok", 1, "registry", registry));
    return;
  }
  if (strncmp(err->code, "docker.", 7) == 0 && !err->cause)
    dr__registry_explain(&problem, "login", registry, err->message);
  else
    dr__err_move(&problem, err);
  dr__docker_steps_fail(steps, &problem);
}

static int start_login(dr_op *op, dr_err *err) {
  dr_docker_steps *steps = dr__docker_steps_new(op, NULL, NULL, err);
  if (!steps) return DR_FAILED;
  const char *registry = dr__arg_string(op, "registry", "");
  bool hub = strcmp(registry, "docker.io") == 0;
  const dr_docker_step step = {.method = "POST",
                               .path = strdup("/auth"),
                               .body =
                                   json_pack("{s:O, s:O, s:s}", "username", dr__arg(op, "username"),
                                             "password", dr__arg(op, "password"), "serveraddress",
                                             hub ? "https://index.docker.io/v1/" : registry),
                               .timeout_s = LOGIN_TIMEOUT,
                               .next = on_logged_in};
  return dr__docker_steps_begin(steps, &step, err);
}

static char *preview_login(const dr_op *op) {
  return dr__http_format("docker login %s as %s (kept for this run only)",
                         dr__arg_string(op, "registry", ""), dr__arg_string(op, "username", ""));
}

static json_t *assume_login(const dr_op *op) {
  return json_pack("{s:b, s:s}", "ok", 1, "registry", dr__arg_string(op, "registry", ""));
}

/* ------------------------------------------------------------ for the Lua part */

/* registry_of(image) -> the registry's name; or nil when it is no image's name. [-1, +1, memory] */
static int l_registry_of(lua_State *L) {
  dr_image_name name;
  dr_err err = DR_ERR_INIT;
  bool well = dr__image_name(luaL_checkstring(L, 1), &name, &err) == 0;
  dr_err_clear(&err);
  if (well)
    lua_pushstring(L, name.registry);
  else
    lua_pushnil(L);
  return 1;
}

/* mask(text) -> whether it can be kept from every output; false when it is too short. A password
 * that no secret() gave must not be seen either. [-1, +1, -] */
static int l_mask(lua_State *L) {
  lua_pushboolean(
      L, dr__runtime_mask(dr__lua_runtime(L), "registry password", luaL_checkstring(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {
    {"registry_of", l_registry_of}, {"mask", l_mask}, {NULL, NULL}};

/* ------------------------------------------------------------ the ops */

static const dr_arg pull_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                   {"image", DR_ARG_STRING, DR_REQUIRED},
                                   {"auth", DR_ARG_MAP, 0},
                                   {"platform", DR_ARG_STRING, 0},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {0}};
static const dr_arg push_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                   {"image", DR_ARG_STRING, DR_REQUIRED},
                                   {"auth", DR_ARG_MAP, 0},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {0}};
static const dr_arg login_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                    {"registry", DR_ARG_STRING, DR_REQUIRED},
                                    {"username", DR_ARG_STRING, DR_REQUIRED},
                                    {"password", DR_ARG_STRING, DR_REQUIRED},
                                    {0}};

static const dr_opspec ops[] = {
    {.name = "docker.login",
     .kind = DR_QUERY, /* asks whether the registry takes them; nothing is kept over there */
     .idempotent = true,
     .args = login_args,
     .preview = preview_login,
     .assume = assume_login,
     .start = start_login},
    {.name = "docker.pull",
     .check = dr__docker_check_image,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_IMAGES,
     .args = pull_args,
     .preview = preview_pull,
     .assume = assume_pull,
     .start = start_pull},
    {.name = "docker.push",
     .check = dr__docker_check_image,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .args = push_args,
     .preview = preview_push,
     .assume = assume_push,
     .start = start_push},
    {0},
};

extern const dr_lua_source dr__lua_docker_images;

const dr_binding dr__binding_docker_pull = {
    .name = "docker_pull",
    .ops = ops,
    .functions = functions,
    .lua = &dr__lua_docker_images,
    .gives = "Engine:login Engine:pull Engine:push Engine:images Engine:remove_image "
             "Engine:prunable Engine:prune"};
