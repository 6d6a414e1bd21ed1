/* test_ssh_memory.c - every allocation of ours fails once: whatever is under way ends, as well or
 * as badly as it can, and nothing crashes, hangs or leaks. Linked with --wrap for the allocating
 * functions, so that those of libssh and libuv, which are not ours to judge, go on. */
#include "ssh_world.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static atomic_long countdown; /* fails when it passes from 1 to 0 */
static atomic_long counted;

/* The names are the linker's.
 * NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool fails_now(void) {
  atomic_fetch_add(&counted, 1);
  return atomic_fetch_sub(&countdown, 1) == 1;
}

void *__wrap_malloc(size_t size) {
  return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
  return fails_now() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
  return fails_now() ? NULL : __real_strdup(text);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* ---- what is swept */

typedef struct ended {
  int exits;
} ended;

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  (void)data, (void)stream, (void)bytes, (void)length;
}

static void on_exited(void *data, dr_exec_exit *how) {
  ((ended *)data)->exits++;
  dr_err_clear(&how->err);
}

static bool is_over(void *data) {
  return ((ended *)data)->exits > 0;
}

/* Runs one command to its end, however it ends. */
static void run(dr_transport *host, const char *line) {
  ended end = {0};
  dr_exec *exec;
  dr_err err = DR_ERR_INIT;
  char input[] = "some input";
  dr_exec_request request = {.argv = json_pack("[s,s,s]", "/bin/sh", "-c", line),
                             .input = input,
                             .input_length = sizeof input,
                             .on_output = on_output,
                             .on_exit = on_exited,
                             .data = &end};
  if (request.argv != NULL && host->klass->exec(host, &request, &exec, &err) == DR_OK) {
    world_turn_until(is_over, &end, 20);
    if (end.exits != 1) fail_msg("the command never ended");
  }
  json_decref(request.argv);
  dr_err_clear(&err);
}

/* One byte there and back through a tunnel, or its end. */
static void use_tunnel(dr_transport *host) {
  dr_ssh_tunnel *tunnel;
  dr_err err = DR_ERR_INIT;
  dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_COMMAND, .command = "exec cat"};
  if (dr__ssh_tunnel_open(&tunnel, host, &spec, &err) == DR_OK) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", dr__ssh_tunnel_path(tunnel));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    char byte;
    for (int i = 0; i < 400 && recv(fd, &byte, 1, MSG_DONTWAIT) < 0; i++) world_turn_ms(5);
    close(fd);
    dr__ssh_tunnel_close(tunnel);
  }
  dr_err_clear(&err);
}

static char config_path[128];

/* A command, a tunnel, and a command through a jump host; the N-th allocation fails. */
static void sweep_once(long n, const char *name) {
  dr_transport *host = NULL;
  dr_err err = DR_ERR_INIT;
  dr_ssh_options options = {.host = name, .config = config_path, .connect_timeout = 2};
  world_open("yes");
  atomic_store(&countdown, n);
  if (dr__ssh_new(&host, world.pool, &options, &err) == DR_OK) {
    run(host, "echo out; echo err >&2; cat");
    use_tunnel(host);
    dr__transport_unref(host);
  }
  atomic_store(&countdown, 0);
  dr_err_clear(&err);
  world_close();
}

static void sweep(const char *name) {
  atomic_store(&counted, 0);
  sweep_once(0, name);
  long total = atomic_load(&counted);
  print_message("%ld allocations\n", total);
  for (long n = 1; n <= total; n++) sweep_once(n, name);
}

static int setup(void **state) {
  char text[1024];
  world_setup(state);
  snprintf(text, sizeof text,
           "Host host inner\n  HostName 127.0.0.1\n  Port %d\nHost bastion\n  HostName localhost\n"
           "  Port %d\nHost inner\n  ProxyJump bastion\n"
           "Host *\n  User %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n",
           world.sshd.port, world.sshd.port, world.user, world.key, world.known_hosts);
  snprintf(config_path, sizeof config_path, "%s", world_file(0, "memory_config", text));
  return 0;
}

static void allocations_fail_on_the_way_to_a_host(void **state) {
  (void)state;
  sweep("host");
}

static void allocations_fail_on_the_way_through_a_jump_host(void **state) {
  (void)state;
  sweep("inner");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(allocations_fail_on_the_way_to_a_host),
      cmocka_unit_test(allocations_fail_on_the_way_through_a_jump_host),
  };
  return cmocka_run_group_tests_name("ssh_memory", tests, setup, world_teardown);
}
