/* ssh_world.h - what the SSH tests share: real servers of their own on loopback, a loop with a
 * pool, and commands run through a transport.
 *
 * Everything lives in one temporary folder and ends with the test program. No home folder, agent or
 * configuration of the person who runs the tests is looked at.
 */
#ifndef SSH_WORLD_H
#define SSH_WORLD_H

#include "core/err.h"
#include "ssh/ssh.h"

#include <setjmp.h>
#include <sys/types.h>

#include <cmocka.h>

typedef struct ssh_server {
  pid_t pid;
  int port;
} ssh_server;

typedef struct ssh_world {
  char folder[64];
  char user[64];
  char key[96];         /* private key that the servers accept */
  char known_hosts[96]; /* holds the servers' key */
  ssh_server sshd;
  uv_loop_t *loop;
  dr_ssh_pool *pool;
} ssh_world;

extern ssh_world world;

/* For cmocka groups: makes keys and starts sshd; ends it and removes the folder. */
int world_setup(void **state);
int world_teardown(void **state);

/* Writes text to a file in the folder; the path is valid until the next call of the same slot
 * (0…3). */
const char *world_file(int slot, const char *name, const char *text);

/* The path of a file in the folder, valid for the next seven calls. */
const char *world_path(const char *name);

/* Makes a key there, and NAME.pub. */
void world_key(const char *name, const char *type);

/* The first line of a file there, valid until the next call. */
const char *world_line(const char *name);

/* Runs a program, its output thrown away, and returns its exit status. */
int world_run(const char *const *argv);

/* Starts another sshd whose configuration has these lines too. */
ssh_server world_sshd(const char *name, const char *lines);

/* Starts a program that stays, and waits until the port answers (0: does not wait). */
pid_t world_spawn(const char *const *argv, int port);
void world_kill(pid_t pid);
int world_free_port(void);

/* A listening socket on a port of its own; nobody accepts. */
int world_listen(int *port);

/* A pool and a loop of the test's own, with an asker that answers with `answer` (NULL: nobody can
 * be asked). */
void world_open(const char *answer);
void world_close(void);
extern int world_questions;       /* asked so far */
extern char world_question[1024]; /* the last one */

/* Options for the world's sshd: its address, port, user, key and known_hosts. */
dr_ssh_options world_options(void);
dr_transport *world_transport(const dr_ssh_options *options);

/* One command and what came of it. */
typedef struct ssh_command {
  dr_exec *exec;
  char *out, *err_out;
  size_t out_length, err_length, room[2];
  bool discard; /* only count output */
  int exits;
  dr_exec_exit how;
  double began, ms;
} ssh_command;

void command_start(ssh_command *command, dr_transport *transport, const char *line);
void command_start_in(ssh_command *command, dr_transport *transport, const char *line,
                      const char *cwd, json_t *env);
void command_start_pty(ssh_command *command, dr_transport *transport, const char *line);
void command_start_held(ssh_command *command, dr_transport *transport, const char *line);
void command_start_input(ssh_command *command, dr_transport *transport, const char *line,
                         const char *input, size_t length);
void command_wait(ssh_command *command, double seconds);
void command_free(ssh_command *command);

/* Starts, waits, and checks that it ended with an error of this code; the error stays in
 * command->how.err. */
void command_fails(ssh_command *command, dr_transport *transport, const char *line,
                   const char *code);

/* Starts, waits, and checks output and status. */
void command_says(dr_transport *transport, const char *line, const char *output, int status);

/* The process of the server that serves the host's connection, which is made when there is none. */
pid_t world_serving(dr_transport *transport);

/* Runs `true` on a host with these options: it must fail with the code within `seconds`, and each
 * of the texts, of which NULL is the last, stand in the message or the hint. */
#define host_fails(options, code, seconds, ...)                                                    \
  host_fails_saying(options, code, seconds, (const char *const[]){__VA_ARGS__})
void host_fails_saying(const dr_ssh_options *options, const char *code, double seconds,
                       const char *const *texts);

/* Logs in with these options and runs a command there. */
void host_answers(const dr_ssh_options *options);

/* Turns the loop until the condition holds. */
void world_turn_until(bool (*done)(void *data), void *data, double seconds);
void world_turn_ms(double ms);
double world_now_ms(void);

#endif
