/* target.h - anything that can run a command: the local machine, an SSH host, a compose service.
 *
 * A dr_transport is a way to a machine (one per machine, shared). A dr_target is an immutable view
 * of it: working folder, environment, user; and, for a service or a container, the words that lead
 * into it from the target it lies within. Both are counted references, used on the runtime's thread
 * only. Commands are composed from a view in command.c, without I/O.
 *
 * Who implements what: view.c (references, views), command.c (composing), local.c and ssh/
 * (transports), exec_op.c (ops that are one command), target.c (the Lua side).
 */
#ifndef DR_TARGET_H
#define DR_TARGET_H

#include "ops/op.h"

#include <stdatomic.h>

typedef struct dr_transport dr_transport;
typedef struct dr_target dr_target;
typedef struct dr_exec dr_exec; /* each transport has its own; only its class looks inside */

/* How a command ended. Exactly one of: a status, a signal, or an error that is no exit at all
 * (connection lost, no such program, exit status lost). */
typedef struct dr_exec_exit {
  int status;      /* 0…255, or -1 */
  char signal[16]; /* "KILL", or "" */
  /* err.code[0] when it did not end by itself; moved from by the receiver. `command.stuck`: it was
   * told to end and may still run. */
  dr_err err;
  bool not_begun; /* with err: it was told to end before it began */
} dr_exec_exit;

/* Bytes that a transport carries itself between a file and a command, past the loop and in bounded
 * memory (exec_files.c). Whoever made it keeps it until on_exit; its descriptors are closed with
 * it. After on_exit nobody else uses it. */
typedef struct dr_exec_files dr_exec_files;
struct dr_exec_files {
  int input_fd;  /* read from where it stands to its end, after the request's `input`; -1: none */
  int output_fd; /* gets standard output instead of on_output; -1: none */
  /* Instead of input_fd: the next bytes, at most `size`; 0 at the end, or a negative errno. Called
   * on the transport's thread. NULL: input_fd is read. */
  long (*read)(dr_exec_files *files, char *buffer, size_t size);
  void *source; /* of read */
  void (*free_source)(void *source);
  uint64_t total;      /* bytes expected, so that a standstill is seen; 0: not known */
  atomic_ullong moved; /* bytes so far; any thread may look */
  atomic_int failed;   /* errno of the file on this side, when that is what ended it; or 0 */
  int place_fd;        /* that a child moves the place of, counted from `place`; -1: none */
  int64_t place;
};

/* Takes the descriptors over, also on failure; either may be -1. NULL when memory is short. */
dr_exec_files *dr__exec_files_new(int input_fd, int output_fd);
void dr__exec_files_free(dr_exec_files *files);

/* True when there is input to carry. */
bool dr__exec_files_feeds(const dr_exec_files *files);

/* For transports: the next bytes of the input, 0 when there are no more (or reading failed, which
 * is noted); and output, false when it could not be written, which is noted too. */
size_t dr__exec_files_read(dr_exec_files *files, char *buffer, size_t size);
bool dr__exec_files_write(dr_exec_files *files, const char *bytes, size_t length);

/* For transports: a child process is given the descriptor itself; what it moves is seen by the
 * place in the file. */
void dr__exec_files_lend(dr_exec_files *files, int fd);

/* Bytes moved so far. Loop's thread. */
uint64_t dr__exec_files_moved(dr_exec_files *files);

/* A command as a transport takes it. Borrowed during the call to exec(). */
typedef struct dr_exec_request {
  json_t *argv;      /* array of strings: the program and its arguments, composed from the view */
  const char *cwd;   /* or NULL; may begin with "~/" */
  json_t *env;       /* object of strings added to the environment, never secrets; or NULL */
  const char *input; /* bytes for standard input, then end of file; NULL: empty */
  size_t input_length;
  bool pty;
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  /* Once, after all output; the dr_exec is gone afterwards. */
  void (*on_exit)(void *data, dr_exec_exit *how);
  void *data;
  /* Standard input stays open after `input` until the command ends or is cancelled: the command
   * lives as long as the connection (lock.c). A transport shows end of file when it is cut off or
   * closed. */
  bool hold_input;
  /* Only to reach the machine: over SSH it is over, with status 0, as soon as the server would run
   * a command; nothing is run. */
  bool connect_only;
  dr_exec_files *files; /* kept by the caller until on_exit; or NULL */
} dr_exec_request;

typedef struct dr_transport_class {
  const char *kind; /* "local", "ssh" */
  /* Begins a command. on_exit is never called from inside this call. */
  int (*exec)(dr_transport *transport, const dr_exec_request *request, dr_exec **out, dr_err *err);
  /* A command follows in a moment: what can be done for it by then, without running anything, is
   * begun. NULL: nothing can. */
  void (*prepare)(dr_transport *transport);
  /* Ends a command early (TERM, then KILL); on_exit follows soon. May be called again. */
  void (*cancel)(dr_exec *exec);
  /* The last reference is gone. */
  void (*destroy)(dr_transport *transport);
} dr_transport_class;

struct dr_transport {
  const dr_transport_class *klass;
  int references;
  uv_loop_t *loop;
  char name[128];      /* "local", or the host as the recipe names it */
  char *sudo_password; /* what sudo there takes from this user, or NULL; see sudo.h */
  bool sudo_trying;    /* it is being found out whether that is so */
  json_t *sudo_users;  /* array: users that :sudo() was found to work for, "" is root; or NULL */
};

struct dr_target {
  int references;
  dr_transport *transport; /* referenced */
  char *name;              /* for plans and messages: "local", "web1", "web1 api" */
  char *cwd;               /* or NULL */
  json_t *env;             /* object of strings, or NULL */
  bool sudo;
  char *user;        /* for sudo -u; NULL is root */
  dr_target *within; /* the target that `enter` is run on, referenced; NULL: the machine itself */
  json_t *enter;     /* words that lead into here, e.g. docker-compose exec -T api; with within */
};

dr_transport *dr__transport_ref(dr_transport *transport);
void dr__transport_unref(dr_transport *transport);

/* The transport to this machine. New reference, NULL when memory is short. */
dr_transport *dr__local_new(uv_loop_t *loop);

/* ---- view.c: making views. Each returns a new reference, NULL when memory is short. */

/* A plain view of a transport. */
dr_target *dr__target_new(dr_transport *transport, const char *name);
dr_target *dr__target_copy(const dr_target *from);

/* What is reached by putting `words` (array of strings, borrowed) before each command on `outer`:
 * folder, environment and user of the new view belong inside, those of `outer` stay outside. */
dr_target *dr__target_within(dr_target *outer, const char *name, const json_t *words);

/* The view in another folder: absolute or "~/…" replaces, relative is joined to the one there is.
 */
dr_target *dr__target_cd(const dr_target *from, const char *folder);

/* The view with more environment: an object of strings, borrowed; names as dr__env_name_ok says. */
dr_target *dr__target_env(const dr_target *from, const json_t *env);

/* The view as another user by sudo; NULL is root. */
dr_target *dr__target_sudo(const dr_target *from, const char *user);

/* True for what a POSIX shell takes as a variable's name. */
bool dr__env_name_ok(const char *name);

/* ---- command.c: pure, unit-tested */

/* Writes of the cd that failed, and what the shell then exits with (see exec_op.c). */
#define DR_NO_FOLDER_MARK "deployrun: cannot enter the folder"
#define DR_NOT_BEGUN 125

/* What a transport is to run for `command` (a JSON string for the shell, or an array of exact
 * words) on a view: sudo, folder, environment and the words that lead in put around it. Environment
 * values that hold a secret (secret_in) go in by standard input, never by argv. */
typedef struct dr_command {
  json_t *argv;
  const char *cwd; /* borrowed from the view, or NULL */
  json_t *env;     /* not secret; or NULL */
  char *input;     /* secrets first, then the caller's input; or NULL */
  size_t input_length;
} dr_command;

/* The name of a secret whose value is in the text, or NULL. */
typedef const char *(*dr_secret_in)(const char *value, void *data);

/* Fails with command.argument (not a command, a zero byte, a bad variable name) or
 * secret.in_command (a secret would be visible in the process list). secret_in may be NULL. *out is
 * cleared on failure. */
int dr__command_build(dr_command *out, const dr_target *target, const json_t *command,
                      const char *input, size_t input_length, dr_secret_in secret_in, void *data,
                      dr_err *err);

/* Frees what the command owns, overwriting its input first. */
void dr__command_clear(dr_command *command);

/* The words as one line for a POSIX shell, each quoted only where it must be; malloc'd. */
char *dr__shell_quote(const json_t *argv);

/* A command (its words, or a line of shell) as an error names it: short, in quotes, on one line. */
void dr__command_name(const json_t *command, char *buffer, size_t size);

/* A path for a POSIX shell: quoted, but "~/" is left to the shell, and a leading '-' is no option;
 * malloc'd. */
char *dr__folder_quote(const char *path);

/* The whole of a command as one line for a shell on the far side (cd, env, words); malloc'd. */
char *dr__command_line(const dr_command *command);

/* The line a person reviews: `cd /srv && sudo FOO=bar git pull`; malloc'd. Secrets are masked later
 * by the gate, which finds them as they are; a secret that quoting would change is shown as
 * [secret]. */
char *dr__command_preview(const dr_target *target, const json_t *command, dr_secret_in secret_in,
                          void *data);

/* ---- exec_op.c: ops that are one command on a target (git, compose, systemctl … build on it) */

typedef struct dr_exec_spec {
  json_t *command; /* reference taken over, also on failure */
  dr_target *view; /* run it there instead of on the op's target; taken over; or NULL */
  json_t *env;     /* object of strings over the view's environment; taken over; or NULL */
  double timeout;  /* seconds; 0: none */
  double delay;    /* seconds to wait before it begins: polling without a fixed sleep elsewhere */
  /* Seconds that a cancel lets it come to its end by itself, for a command that asks another
   * program to make things and would leave half of them; a second cancel ends it at once. */
  double settle;
  const char *input; /* borrowed during the call */
  size_t input_length;
  size_t keep;     /* bytes of each stream kept for the result; 0: 16 MiB */
  bool any_status; /* a non-zero status is a result, not a failure */
  bool quiet;      /* output is not shown live */
  bool pty;
  bool connect_only;    /* see dr_exec_request */
  json_t *carry;        /* what parse and fail find by dr__exec_carry(); taken over; or NULL */
  dr_exec_files *files; /* taken over, also on failure; or NULL */

  /* With files, a few times a second while the command runs: tells how far it is, `seconds` after
   * it began; or NULL. */
  void (*pulse)(dr_op *op, uint64_t moved, double seconds);
  double stall; /* seconds without a byte after which it is stopped (`transfer.stalled`); 0: none */

  /* Turns the collected output {status, stdout, stderr, ok} (reference taken over) into the op's
   * result (new reference), or returns NULL with err filled. It may instead begin another command
   * with dr__exec_op() and return NULL with err untouched: the op goes on. NULL: the output is the
   * result. */
  json_t *(*parse)(dr_op *op, int status, json_t *result, dr_err *err);

  /* The command is over, however it ended, or the op was thrown away; before parse and fail,
   * exactly once when dr__exec_op() returned DR_OK. Must not end the op. Or NULL. */
  void (*over)(dr_op *op);

  /* May give a failure a better code, message or hint before the op fails with it; or begin another
   * command with dr__exec_op(): the op goes on, and the failure is forgotten. NULL: neither. */
  void (*fail)(dr_op *op, dr_err *err);
} dr_exec_spec;

/* Starts the command as the op: streams output, bounds it by the timeout, fails with
 * `command.failed` (the last lines as detail), `command.signal`, `command.timeout`,
 * `command.not_found`, `command.no_such_folder`, `sudo.password`, `sudo.refused` and the other
 * errors of sudo.h, `cancelled` or the transport's own error. To be returned from a
 * dr_opspec.start. */
int dr__exec_op(dr_op *op, const dr_exec_spec *spec, dr_err *err);

/* For parse and fail: the spec's carry (borrowed), and what was written so far to stream 1 or 2, as
 * text (borrowed, "" when nothing was). */
json_t *dr__exec_carry(const dr_op *op);
const char *dr__exec_text(const dr_op *op, int stream);

/* For parse and fail: bytes that the spec's files carried, and the errno of the file on this side
 * when that is what went wrong, else 0. */
uint64_t dr__exec_moved(const dr_op *op);
int dr__exec_file_error(const dr_op *op);

/* For parse: takes the source of the spec's files, which is the caller's from now on; or NULL. */
void *dr__exec_take_source(const dr_op *op);

/* Fills err as a command that exited with a status the caller does not accept. For parse. */
void dr__exec_failed(const dr_op *op, int status, dr_err *err);

/* The preview of `command` on the op's target; malloc'd. For dr_opspec.preview. */
char *dr__exec_preview(const dr_op *op, const json_t *command);

#endif
