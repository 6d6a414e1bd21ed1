/* docker.h - what the files of the docker binding share. Runtime's thread only. */
#ifndef DR_DOCKER_H
#define DR_DOCKER_H

#include "docker_engine.h"
#include "ops/binding.h"

/* The engine behind an op's socket argument, made when first asked for; kept in the runtime. NULL
 * with err filled. */
dr_engine *dr__docker_engine_of(const dr_op *op, dr_err *err);

/* The path of a unix socket through which the Docker Engine of a target is reached: this machine's
 * own, or a tunnel to an SSH host, opened without connecting yet and kept in the runtime. `remote`
 * is the socket there, NULL for the usual one. Returns 0, or an error: docker.host,
 * docker.remote_unsupported, ssh.tunnel. */
int dr__docker_locate(dr_runtime *rt, struct dr_target *target, const char *remote, char *socket,
                      size_t size, dr_err *err);

/* The path of a unix socket that leads to a TCP address as the target sees it: a tunnel to an SSH
 * host; "" on this machine, where it is reached directly. Returns 0, or an error (ssh.tunnel). */
int dr__docker_route(dr_runtime *rt, struct dr_target *target, const char *address, int port,
                     char *socket, size_t size, dr_err *err);

/* Completes an error of an op whose engine is behind a tunnel with why the tunnel failed. */
void dr__docker_explain_tunnel(dr_runtime *rt, const char *socket, dr_err *err);

/* ---- docker_call.c: ops that are one call */

typedef struct dr_docker_call_spec {
  const char *method; /* NULL: GET */
  char *path;         /* malloc'd, taken over; NULL is out of memory */
  json_t *body;       /* reference taken over; or NULL */
  double timeout_s;   /* 0: 30 */
  /* The op's result (new reference), or NULL with err filled. NULL pointer: an empty object, with
   * `unchanged` true when the engine said so (304). */
  json_t *(*parse)(dr_op *op, const dr_engine_answer *answer, dr_err *err);
} dr_docker_call_spec;

/* Makes the call as the op. To be returned from a dr_opspec.start. */
int dr__docker_call(dr_op *op, const dr_docker_call_spec *spec, dr_err *err);

/* Ends an op with an error in the way all docker ops do. */
void dr__docker_fail(dr_op *op, dr_err *err);

/* Ends an op because it was cancelled. */
void dr__docker_fail_cancelled(dr_op *op);

/* ---- docker_exec.c */

extern const dr_arg dr__docker_exec_args[];
int dr__docker_exec_start(dr_op *op, dr_err *err);
char *dr__docker_exec_preview(const dr_op *op);
json_t *dr__docker_exec_assume(const dr_op *op);

/* ---- docker_waiting.c */

extern const dr_arg dr__docker_logs_args[];
extern const dr_arg dr__docker_healthy_args[];
extern const dr_arg dr__docker_running_args[]; /* docker.wait_running: the rest is the same */
int dr__docker_logs_op_start(dr_op *op, dr_err *err);
char *dr__docker_logs_preview(const dr_op *op);
json_t *dr__docker_logs_assume(const dr_op *op);
int dr__docker_healthy_check(const dr_op *op, dr_err *err);
int dr__docker_healthy_start(dr_op *op, dr_err *err);
char *dr__docker_healthy_preview(const dr_op *op);
json_t *dr__docker_healthy_assume(const dr_op *op);
int dr__docker_exited_start(dr_op *op, dr_err *err);

/* "3f2a9c0d1e5b (api_1)": a container as a person knows it. */
void dr__docker_shown(const dr_op *op, char *text, size_t size);

#endif
