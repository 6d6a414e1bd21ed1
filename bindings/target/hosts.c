/* hosts.c - keeps the transports of a runtime, by the options they were made with, so that the walk
 * before a run and the run itself use the same connection. Called by target.c on the runtime's
 * thread. */
#include "hosts.h"

#include "core/err.h"
#include "ssh/ssh.h"
#include "sudo.h"

#include <stdlib.h>
#include <string.h>

typedef struct host {
  struct host *next;
  char *key; /* the options as JSON */
  dr_transport *transport;
  uint64_t answered_ms; /* loop time, 0: never */
  uint64_t failed_ms;
  dr_err failure; /* why it could not be reached then */
} host;

typedef struct hosts {
  dr_runtime *rt;
  dr_ssh_pool *ssh; /* made with the first SSH host */
  host *first;
} hosts;

static const char kept_as[] = "hosts";

enum { FRESH_MS = 60 * 1000 };

/* ------------------------------------------------------------ keeping */

static void close_hosts(void *value) {
  hosts *all = value;
  while (all->first) {
    host *one = all->first;
    all->first = one->next;
    dr__transport_unref(one->transport);
    dr_err_clear(&one->failure);
    dr__sudo_wipe(one->key); /* passwords are among the options */
    free(one);
  }
  dr__ssh_pool_close(all->ssh);
  free(all);
}

static hosts *get_hosts(dr_runtime *rt) {
  hosts *all = dr__runtime_keep(rt, kept_as, sizeof *all, close_hosts);
  if (all) all->rt = rt;
  return all;
}

static host *find_transport(dr_runtime *rt, const dr_transport *transport) {
  hosts *all = dr__runtime_get(rt, kept_as);
  host *one = all ? all->first : NULL;
  while (one && one->transport != transport) one = one->next;
  return one;
}

void dr__hosts_answered(dr_runtime *rt, const dr_transport *transport) {
  host *one = find_transport(rt, transport);
  if (one) one->answered_ms = uv_now(transport->loop);
}

bool dr__hosts_answered_lately(dr_runtime *rt, const dr_transport *transport) {
  const host *one = find_transport(rt, transport);
  return one && one->answered_ms && uv_now(transport->loop) - one->answered_ms < FRESH_MS;
}

void dr__hosts_failed(dr_runtime *rt, const dr_transport *transport, const dr_err *why) {
  host *one = find_transport(rt, transport);
  if (!one) return;
  dr_err_clear(&one->failure);
  dr__err_copy(&one->failure, why);
  one->failed_ms = uv_now(transport->loop);
}

bool dr__hosts_failed_lately(dr_runtime *rt, const dr_transport *transport, dr_err *err) {
  host *one = find_transport(rt, transport);
  if (!one || !one->failure.code[0]) return false;
  bool lately = uv_now(transport->loop) - one->failed_ms < FRESH_MS;
  if (lately) dr__err_move(err, &one->failure);
  dr_err_clear(&one->failure);
  return lately;
}

/* ------------------------------------------------------------ making */

/* The options of host() as C has them; strings are borrowed from the JSON. */
typedef struct parsed {
  dr_ssh_options ssh;
  const char *sudo_password;
  const char *identities[17];
} parsed;

static int wrong_type(dr_err *err, const char *name, const char *wanted) {
  return dr__fail(err, "recipe.argument", "host: '%s' takes %s", name, wanted);
}

static int read_identities(parsed *out, const json_t *value, dr_err *err) {
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  if (count >= sizeof out->identities / sizeof *out->identities)
    return wrong_type(err, "identity", "at most 16 key files");
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
    out->identities[i] = json_string_value(item);
    if (!out->identities[i]) return wrong_type(err, "identity", "a key file, or a list of them");
  }
  out->ssh.identities = out->identities;
  return DR_OK;
}

/* A number of whole or broken units, at most `most`. */
static int read_number(double *out, const char *name, const json_t *value, double most,
                       dr_err *err) {
  double number = json_is_number(value) ? json_number_value(value) : -1;
  if (!(number > 0 && number <= most)) {
    char *given = json_dumps(value, JSON_ENCODE_ANY);
    dr__fail(err, "recipe.argument", "host: '%s' takes a number above 0, at most %g, not %.60s",
             name, most, given ? given : "this");
    free(given);
    return DR_RECIPE;
  }
  *out = number;
  return DR_OK;
}

/* Puts one option where it belongs. */
static int read_option(parsed *out, const char *name, const json_t *value, dr_err *err) {
  const struct {
    const char *name;
    const char **at;
  } strings[] = {{"host", &out->ssh.host},
                 {"user", &out->ssh.user},
                 {"jump", &out->ssh.jump},
                 {"config", &out->ssh.config},
                 {"known_hosts", &out->ssh.known_hosts},
                 {"password", &out->ssh.password},
                 {"sudo_password", &out->sudo_password}};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
    if (strcmp(name, strings[i].name) != 0) continue;
    *strings[i].at = json_string_value(value);
    return *strings[i].at ? DR_OK : wrong_type(err, name, "a string");
  }
  if (strcmp(name, "identity") == 0) return read_identities(out, value, err);
  if (strcmp(name, "identities_only") == 0 || strcmp(name, "ask_password") == 0) {
    bool *at = name[0] == 'a' ? &out->ssh.ask_password : &out->ssh.identities_only;
    *at = json_is_true(value);
    return json_is_boolean(value) ? DR_OK : wrong_type(err, name, "true or false");
  }
  double number = 0;
  int status = read_number(&number, name, value, strcmp(name, "port") == 0 ? 65535 : 3600, err);
  if (strcmp(name, "port") == 0) out->ssh.port = (int)number;
  if (strcmp(name, "connect_timeout") == 0) out->ssh.connect_timeout = number;
  if (strcmp(name, "keepalive") == 0) out->ssh.keepalive_interval = number;
  return status;
}

static int read_options(parsed *out, const json_t *options, dr_err *err) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)options, name, value) {
    int status = read_option(out, name, value, err);
    if (status != DR_OK) return status;
  }
  return DR_OK;
}

/* Lets a person answer through the runtime, which masks what they typed. */
static char *ask(const char *question, bool secret, void *data) {
  return dr__runtime_ask(data, question, secret ? "typed answer" : NULL);
}

/* A password the recipe gives is a secret, also when it was not read as one. */
static int check_password(dr_runtime *rt, const char *option, const char *password, dr_err *err) {
  if (password && strpbrk(password, "\r\n"))
    return dr__fail(err, "recipe.argument", "host: '%s' is more than one line", option);
  if (!password || dr__runtime_mask(rt, option, password)) return DR_OK;
  dr__fail(err, "secret.short", "host: '%s' has fewer than 4 characters", option);
  dr__err_hint(err, "it could not be masked where it is shown; choose a longer one");
  return DR_FAILED;
}

/* The way to the machine the fields name. */
static int open_transport(dr_transport **out, hosts *all, const parsed *fields, dr_err *err) {
  uv_loop_t *loop = dr__runtime_loop(all->rt);
  int status = DR_OK;
  if (strcmp(fields->ssh.host, "local") == 0) {
    *out = dr__local_new(loop);
    return *out ? DR_OK : dr__err_nomem(err);
  }
  if (!all->ssh) {
    dr_ssh_pool_options pool = {.asker = ask, .asker_data = all->rt};
    status = dr__ssh_pool_new(&all->ssh, loop, &pool, err);
  }
  return status == DR_OK ? dr__ssh_new(out, all->ssh, &fields->ssh, err) : status;
}

static int make_transport(dr_transport **out, hosts *all, const json_t *options, dr_err *err) {
  parsed fields = {.identities = {NULL}};
  int status = read_options(&fields, options, err);
  if (status != DR_OK) return status;
  if (!fields.ssh.host || !fields.ssh.host[0])
    return dr__fail(err, "recipe.argument", "host: the host's name is missing");
  status = check_password(all->rt, "password", fields.ssh.password, err);
  if (status == DR_OK) status = check_password(all->rt, "sudo_password", fields.sudo_password, err);
  if (status == DR_OK) status = open_transport(out, all, &fields, err);
  if (status != DR_OK || !fields.sudo_password || dr__sudo_keep(*out, fields.sudo_password))
    return status;
  dr__transport_unref(*out);
  return dr__err_nomem(err);
}

/* Makes a host and takes over its key, also on failure: NULL with err filled. */
static host *add_host(hosts *all, const json_t *options, char *key, dr_err *err) {
  host *one = calloc(1, sizeof *one);
  if (!one) dr__err_nomem(err);
  if (!one || make_transport(&one->transport, all, options, err) != DR_OK) {
    free(one);
    dr__sudo_wipe(key);
    return NULL;
  }
  one->key = key;
  one->next = all->first;
  all->first = one;
  return one;
}

int dr__hosts_get(dr_transport **out, dr_runtime *rt, const json_t *options, dr_err *err) {
  hosts *all = get_hosts(rt);
  char *key = all ? json_dumps(options, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
  if (!key) return dr__err_nomem(err);
  host *one = all->first;
  while (one && strcmp(one->key, key) != 0) one = one->next;
  if (one)
    dr__sudo_wipe(key);
  else
    one = add_host(all, options, key, err);
  if (!one) return DR_FAILED;
  *out = dr__transport_ref(one->transport);
  return DR_OK;
}
