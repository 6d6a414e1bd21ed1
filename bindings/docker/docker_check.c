/* docker_check.c - see docker_check.h. Owns nothing. Called by the gate for the docker and swarm
 * ops, in the walk and in the run.
 */
#include "docker_check.h"

#include "core/err.h"
#include "docker_registry.h"
#include "docker_spec.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_NAMED_SIGNAL = 31, LAST_SIGNAL = 64 };

int dr__docker_check_name(const char *name, const char *what, dr_err *err) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  if (isalnum((unsigned char)name[0]) && strspn(name, allowed) == strlen(name)) return DR_OK;
  dr__fail(err, "recipe.argument", "\"%.100s\" is no %s", name, what);
  dr__err_hint(err, "letters, digits, '_', '.' and '-', a letter or digit first");
  return DR_RECIPE;
}

/* A whole number from 1 to the last signal. */
static bool is_signal_number(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  return isdigit((unsigned char)text[0]) && *end == '\0' && number >= 1 && number <= LAST_SIGNAL;
}

int dr__docker_check_signal(const char *signal, dr_err *err) {
  const char *name = strncmp(signal, "SIG", 3) == 0 ? signal + 3 : signal;
  bool known = is_signal_number(signal) || strncmp(name, "RTM", 3) == 0;
  for (int i = 1; i <= LAST_NAMED_SIGNAL && !known; i++) {
    const char *abbreviated = sigabbrev_np(i);
    known = abbreviated && strcmp(abbreviated, name) == 0;
  }
  if (known) return DR_OK;
  dr__fail(err, "recipe.argument", "\"%.40s\" is no signal", signal);
  dr__err_hint(err, "HUP, TERM, INT, QUIT, USR1, USR2, WINCH, KILL …");
  return DR_RECIPE;
}

int dr__docker_check_run(const dr_op *op, dr_err *err) {
  dr_image_name image;
  const char *name = dr__arg_string(op, "name", NULL);
  int status = dr__image_name(dr__arg_string(op, "image", ""), &image, err);
  if (!status && name) status = dr__docker_check_name(name, "name of a container", err);
  if (status) return status;
  json_t *body = dr__docker_create_body(op->args, NULL, err);
  json_decref(body);
  return body ? DR_OK : DR_RECIPE;
}

/* The Engine itself writes a name with a '/' before it. "<new api container>" is what a dry run
 * calls one that is not there yet. */
int dr__docker_check_container(const dr_op *op, dr_err *err) {
  const char *container = dr__arg_string(op, "container", "");
  const char *network = dr__arg_string(op, "network", NULL);
  container += container[0] == '/';
  int status = container[0] == '<'
                   ? DR_OK
                   : dr__docker_check_name(container, "name or id of a container", err);
  if (status || !network) return status;
  return dr__docker_check_name(network, "name of a network", err);
}

int dr__docker_check_rename(const dr_op *op, dr_err *err) {
  int status = dr__docker_check_container(op, err);
  if (status) return status;
  return dr__docker_check_name(dr__arg_string(op, "to", ""), "name of a container", err);
}

int dr__docker_check_kill(const dr_op *op, dr_err *err) {
  int status = dr__docker_check_container(op, err);
  if (status) return status;
  return dr__docker_check_signal(dr__arg_string(op, "signal", "KILL"), err);
}

static int only_tag(const char *image, const char *why, dr_err *err) {
  dr_image_name name;
  int status = dr__image_name(image, &name, err);
  if (status || !name.digest) return status;
  return dr__fail(err, "recipe.argument", "%s names a digest, and %s", image, why);
}

int dr__docker_check_tag(const dr_op *op, dr_err *err) {
  dr_image_name name;
  const char *image = dr__arg_string(op, "image", ""); /* "<the image of api>": not known yet */
  int status = image[0] == '<' ? DR_OK : dr__image_name(image, &name, err);
  if (status) return status;
  return only_tag(dr__arg_string(op, "tag", ""), "a digest cannot be given", err);
}

int dr__docker_check_image(const dr_op *op, dr_err *err) {
  dr_image_name name;
  const char *image = dr__arg_string(op, "image", "");
  bool push = strcmp(op->spec->name, "docker.push") == 0;
  return push ? only_tag(image, "only tags are pushed", err) : dr__image_name(image, &name, err);
}

/* An address and the bits of a network: "10.8.0.0/24", "fd00::/64". */
static bool is_subnet(const char *text) {
  char address[INET6_ADDRSTRLEN + 1], *end;
  unsigned char bytes[sizeof(struct in6_addr)];
  const char *slash = strchr(text, '/');
  size_t length = slash ? (size_t)(slash - text) : 0;
  if (length == 0 || length >= sizeof address || !isdigit((unsigned char)slash[1])) return false;
  memcpy(address, text, length);
  address[length] = '\0';
  long bits = strtol(slash + 1, &end, 10);
  if (*end != '\0') return false;
  if (inet_pton(AF_INET, address, bytes) == 1) return bits <= 32;
  return inet_pton(AF_INET6, address, bytes) == 1 && bits <= 128;
}

int dr__docker_check_object(const dr_op *op, dr_err *err) {
  bool network = strstr(op->spec->name, "network") != NULL;
  const char *subnet = dr__arg_string(op, "subnet", NULL);
  int status = dr__docker_check_name(dr__arg_string(op, "name", ""),
                                     network ? "name of a network" : "name of a volume", err);
  if (status || !subnet || is_subnet(subnet)) return status;
  dr__fail(err, "recipe.argument", "\"%.100s\" is no subnet", subnet);
  dr__err_hint(err, "an address and its bits: \"10.8.0.0/24\"");
  return DR_RECIPE;
}
