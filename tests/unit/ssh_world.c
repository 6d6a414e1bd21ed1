/* ssh_world.c - see ssh_world.h. */
#include "ssh_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

ssh_world world;
int world_questions;
char world_question[1024];

double world_now_ms(void) {
  return (double)uv_hrtime() / 1e6;
}

/* ---- programs and ports */

static pid_t spawn_quiet(const char *const *argv, const char *log) {
  posix_spawn_file_actions_t actions;
  pid_t pid = 0;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int error = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail_msg("%s does not start: %s", argv[0], strerror(error));
  return pid;
}

int world_run(const char *const *argv) {
  int status = 0;
  pid_t pid = spawn_quiet(argv, "/dev/null");
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* What was started and not yet ended, so that a test that failed leaves nothing running. */
static pid_t running[64];

static void note_running(pid_t from, pid_t to) {
  for (size_t i = 0; i < sizeof running / sizeof running[0]; i++) {
    if (running[i] != from) continue;
    running[i] = to;
    return;
  }
}

pid_t world_spawn(const char *const *argv, int port) {
  char log[128];
  snprintf(log, sizeof log, "%s/log", world.folder);
  pid_t pid = spawn_quiet(argv, log);
  note_running(0, pid);
  for (int i = 0; port != 0; i++) {
    int fd = dial(port);
    if (fd >= 0) {
      close(fd);
      break;
    }
    if (i == 500) fail_msg("%s does not listen on port %d; see %s", argv[0], port, log);
    usleep(10000);
  }
  return pid;
}

void world_kill(pid_t pid) {
  if (pid <= 0) return;
  note_running(pid, 0);
  kill(pid, SIGTERM);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
}

int world_listen(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

int world_free_port(void) {
  int port;
  close(world_listen(&port));
  return port;
}

const char *world_file(int slot, const char *name, const char *text) {
  static char paths[4][160];
  snprintf(paths[slot], sizeof paths[slot], "%s/%s", world.folder, name);
  FILE *file = fopen(paths[slot], "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  chmod(paths[slot], 0600);
  return paths[slot];
}

/* ---- servers */

const char *world_path(const char *name) {
  static char paths[8][160];
  static int slot;
  slot = (slot + 1) % 8;
  snprintf(paths[slot], sizeof paths[slot], "%s/%s", world.folder, name);
  return paths[slot];
}

const char *world_line(const char *name) {
  static char line[1024];
  FILE *file = fopen(world_path(name), "r");
  assert_non_null(file);
  assert_non_null(fgets(line, sizeof line, file));
  fclose(file);
  return line;
}

static void know_host(int port) {
  FILE *file = fopen(world.known_hosts, "a");
  assert_non_null(file);
  fprintf(file, "[127.0.0.1]:%d,[::1]:%d,[localhost]:%d %s", port, port, port,
          world_line("host_key.pub"));
  fclose(file);
}

ssh_server world_sshd(const char *name, const char *lines) {
  char text[2048], file[32];
  ssh_server server = {.port = world_free_port()};
  snprintf(
      text, sizeof text,
      "%s\nListenAddress 127.0.0.1\nListenAddress ::1\nPort %d\nHostKey %s/host_key\nPidFile none\n"
      "AuthorizedKeysFile %s/key.pub\nPermitRootLogin yes\nStrictModes no\nUsePAM no\n"
      "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\nPrintMotd no\n"
      "PrintLastLog no\nMaxStartups 1000\nSetEnv HOME=%s\n",
      lines, server.port, world.folder, world.folder, world.folder);
  snprintf(file, sizeof file, "%s.conf", name);
  const char *config = world_file(3, file, text);
  const char *argv[] = {"/usr/sbin/sshd", "-D", "-e", "-f", config, NULL};
  server.pid = world_spawn(argv, server.port);
  know_host(server.port);
  return server;
}

void world_key(const char *name, const char *type) {
  const char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N", "", "-f", world_path(name), NULL};
  assert_int_equal(world_run(argv), 0);
}

int world_setup(void **state) {
  (void)state;
  struct passwd *me = getpwuid(getuid());
  assert_non_null(me);
  snprintf(world.user, sizeof world.user, "%s", me->pw_name);
  snprintf(world.folder, sizeof world.folder, "/tmp/ssh-test-XXXXXX");
  assert_non_null(mkdtemp(world.folder));
  setenv("HOME", world.folder, 1);
  unsetenv("SSH_AUTH_SOCK");
  snprintf(world.key, sizeof world.key, "%s/key", world.folder);
  snprintf(world.known_hosts, sizeof world.known_hosts, "%s/known_hosts", world.folder);
  if (getuid() == 0) mkdir("/run/sshd", 0755);
  world_key("key", "ed25519");
  world_key("host_key", "ed25519");
  world.sshd = world_sshd("sshd", "");
  return 0;
}

int world_teardown(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof running / sizeof running[0]; i++) world_kill(running[i]);
  const char *argv[] = {"rm", "-rf", world.folder, NULL};
  return world_run(argv);
}

/* ---- loop and pool */

static const char *given_answer;

static char *answer_question(const char *question, bool secret, void *data) {
  (void)secret, (void)data;
  world_questions++;
  snprintf(world_question, sizeof world_question, "%s", question);
  return strdup(given_answer);
}

void world_open(const char *answer) {
  dr_err err = DR_ERR_INIT;
  dr_ssh_pool_options options = {.asker = answer == NULL ? NULL : answer_question};
  given_answer = answer;
  world_questions = 0;
  world.loop = malloc(sizeof *world.loop);
  assert_int_equal(uv_loop_init(world.loop), 0);
  assert_int_equal(dr__ssh_pool_new(&world.pool, world.loop, &options, &err), DR_OK);
}

void world_close(void) {
  dr__ssh_pool_close(world.pool);
  world.pool = NULL;
  while (uv_run(world.loop, UV_RUN_NOWAIT)) uv_run(world.loop, UV_RUN_ONCE);
  assert_int_equal(uv_loop_close(world.loop), 0);
  free(world.loop);
}

dr_ssh_options world_options(void) {
  static const char *identities[2];
  identities[0] = world.key;
  return (dr_ssh_options){.host = "127.0.0.1",
                          .port = world.sshd.port,
                          .user = world.user,
                          .identities = identities,
                          .config = "none",
                          .known_hosts = world.known_hosts};
}

dr_transport *world_transport(const dr_ssh_options *options) {
  dr_err err = DR_ERR_INIT;
  dr_transport *transport;
  if (dr__ssh_new(&transport, world.pool, options, &err) != DR_OK) {
    fail_msg("%s: %s", err.code, err.message);
  }
  return transport;
}

static void on_tick(uv_timer_t *timer) {
  (void)timer;
}

static void on_tick_closed(uv_handle_t *tick) {
  *(bool *)tick->data = true;
}

void world_turn_until(bool (*done)(void *data), void *data, double seconds) {
  uv_timer_t tick;
  double end = world_now_ms() + seconds * 1000;
  uv_timer_init(world.loop, &tick);
  uv_timer_start(&tick, on_tick, 5, 5);
  while (!done(data) && world_now_ms() < end) uv_run(world.loop, UV_RUN_ONCE);
  bool closed = false;
  tick.data = &closed;
  uv_close((uv_handle_t *)&tick, on_tick_closed);
  while (!closed) uv_run(world.loop, UV_RUN_NOWAIT);
}

static bool never(void *data) {
  (void)data;
  return false;
}

void world_turn_ms(double ms) {
  world_turn_until(never, NULL, ms / 1000);
}

/* ---- commands */

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  ssh_command *command = data;
  char **text = stream == 1 ? &command->out : &command->err_out;
  size_t *have = stream == 1 ? &command->out_length : &command->err_length;
  assert_int_equal(command->exits, 0);
  if (!command->discard) {
    size_t *room = &command->room[stream - 1];
    if (*room < *have + length + 1) {
      *room = *room * 2 + length + 65536;
      *text = realloc(*text, *room);
    }
    memcpy(*text + *have, bytes, length);
    (*text)[*have + length] = '\0';
  }
  *have += length;
}

static void on_exited(void *data, dr_exec_exit *how) {
  ssh_command *command = data;
  command->exits++;
  command->ms = world_now_ms() - command->began;
  command->how.status = how->status;
  command->how.not_begun = how->not_begun;
  memcpy(command->how.signal, how->signal, sizeof how->signal);
  dr__err_move(&command->how.err, &how->err);
}

static void begin(ssh_command *command, dr_transport *transport, const char *line,
                  dr_exec_request request) {
  dr_err err = DR_ERR_INIT;
  bool discard = command->discard;
  *command = (ssh_command){.discard = discard, .began = world_now_ms()};
  request.argv = json_pack("[s,s,s]", "/bin/sh", "-c", line);
  request.on_output = on_output;
  request.on_exit = on_exited;
  request.data = command;
  if (transport->klass->exec(transport, &request, &command->exec, &err) != DR_OK) {
    fail_msg("%s: %s", err.code, err.message);
  }
  json_decref(request.argv);
}

void command_start(ssh_command *command, dr_transport *transport, const char *line) {
  begin(command, transport, line, (dr_exec_request){0});
}

void command_start_input(ssh_command *command, dr_transport *transport, const char *line,
                         const char *input, size_t length) {
  begin(command, transport, line, (dr_exec_request){.input = input, .input_length = length});
}

void command_start_in(ssh_command *command, dr_transport *transport, const char *line,
                      const char *cwd, json_t *env) {
  begin(command, transport, line, (dr_exec_request){.cwd = cwd, .env = env});
}

void command_start_pty(ssh_command *command, dr_transport *transport, const char *line) {
  begin(command, transport, line, (dr_exec_request){.pty = true});
}

void command_start_held(ssh_command *command, dr_transport *transport, const char *line) {
  begin(command, transport, line, (dr_exec_request){.hold_input = true});
}

static bool has_exited(void *data) {
  return ((ssh_command *)data)->exits > 0;
}

void command_wait(ssh_command *command, double seconds) {
  world_turn_until(has_exited, command, seconds);
  if (command->exits != 1) fail_msg("the command did not end within %g s", seconds);
}

void command_free(ssh_command *command) {
  free(command->out);
  free(command->err_out);
  dr_err_clear(&command->how.err);
  *command = (ssh_command){0};
}

void command_fails(ssh_command *command, dr_transport *transport, const char *line,
                   const char *code) {
  command->discard = false;
  command_start(command, transport, line);
  command_wait(command, 30);
  if (strcmp(command->how.err.code, code) != 0) {
    fail_msg("not %s but \"%s\": %s (status %d)", code, command->how.err.code,
             command->how.err.message, command->how.status);
  }
  if (strcmp(code, "cancelled") != 0) {
    assert_int_not_equal(command->how.err.hint[0], 0);
    print_message("%s: %s\n  -> %s\n", code, command->how.err.message, command->how.err.hint);
  }
}

void command_says(dr_transport *transport, const char *line, const char *output, int status) {
  ssh_command command = {0};
  command_start(&command, transport, line);
  command_wait(&command, 30);
  if (command.how.err.code[0] != '\0') {
    fail_msg("%s: %s", command.how.err.code, command.how.err.message);
  }
  assert_int_equal(command.how.status, status);
  assert_string_equal(command.out == NULL ? "" : command.out, output);
  command_free(&command);
}

pid_t world_serving(dr_transport *transport) {
  ssh_command command = {0};
  command_start(&command, transport, "echo $PPID");
  command_wait(&command, 20);
  assert_int_equal(command.how.status, 0);
  pid_t pid = (pid_t)strtol(command.out, NULL, 10);
  command_free(&command);
  return pid;
}

static void check_said(const ssh_command *command, const char *text) {
  const dr_err *err = &command->how.err;
  if (strstr(err->message, text) == NULL && strstr(err->hint, text) == NULL)
    fail_msg("\"%s\" is not in: %s / %s", text, err->message, err->hint);
}

void host_fails_saying(const dr_ssh_options *options, const char *code, double seconds,
                       const char *const *texts) {
  ssh_command command = {0};
  dr_transport *host = world_transport(options);
  command_fails(&command, host, "true", code);
  assert_string_equal(command.how.err.target, options->host);
  if (command.ms > seconds * 1000) fail_msg("%s took %.0f ms", code, command.ms);
  for (; *texts != NULL; texts++) check_said(&command, *texts);
  command_free(&command);
  dr__transport_unref(host);
}

void host_answers(const dr_ssh_options *options) {
  dr_transport *host = world_transport(options);
  command_says(host, "echo in", "in\n", 0);
  dr__transport_unref(host);
}
