/* docker_socket.c - where the Docker Engine of a target listens. Called by the docker binding on
 * the runtime's thread; the tunnels to the engines of SSH hosts are kept in tunnels.c.
 */
#include "docker.h"

#include "core/err.h"
#include "target/sudo.h"
#include "target/tunnels.h"

#include <stdlib.h>
#include <string.h>

#define USUAL_SOCKET "/var/run/docker.sock"

/* docker -H unix://SOCKET system dial-stdio; without a socket the program takes its own. */
static json_t *dial_words(const char *remote) {
  if (!remote) return json_pack("[s, s, s]", "docker", "system", "dial-stdio");
  return json_pack("[s, s, o, s, s]", "docker", "-H", json_sprintf("unix://%s", remote), "system",
                   "dial-stdio");
}

/* As the view's user, by sudo, through the docker program: the socket itself would not let the
 * login user in. Where sudo wants a password, each stream begins with it. */
static int locate_by_sudo(dr_runtime *rt, const dr_target *target, const char *remote, char *socket,
                          size_t size, dr_err *err) {
  dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_COMMAND, .name = "docker.sock"};
  dr_target *machine = dr__target_new(target->transport, target->name);
  dr_target *view = machine ? dr__target_sudo(machine, dr__sudo_machine(target)->user) : NULL;
  json_t *words = dial_words(remote);
  dr_command command = {0};
  char *line = NULL;
  int status = view && words ? dr__command_build(&command, view, words, NULL, 0, NULL, NULL, err)
                             : dr__err_nomem(err);
  if (status == DR_OK) status = dr__sudo_prepare(&command, view, false, err);
  if (status == DR_OK && !(line = dr__shell_quote(command.argv))) status = dr__err_nomem(err);
  spec.command = line;
  spec.gives_password = command.input_length > 0;
  if (status == DR_OK) status = dr__tunnel_through(rt, target, line, &spec, socket, size, err);
  free(line);
  dr__command_clear(&command);
  json_decref(words);
  dr__target_unref(view);
  dr__target_unref(machine);
  return status;
}

static int locate_over_ssh(dr_runtime *rt, const dr_target *target, const char *remote,
                           char *socket, size_t size, dr_err *err) {
  dr_ssh_tunnel_spec spec = {.name = "docker.sock"};
  if (dr__sudo_machine(target)->sudo) return locate_by_sudo(rt, target, remote, socket, size, err);
  spec.kind = DR_SSH_TUNNEL_UNIX;
  spec.path = remote ? remote : USUAL_SOCKET;
  return dr__tunnel_through(rt, target, spec.path, &spec, socket, size, err);
}

int dr__docker_route(dr_runtime *rt, dr_target *target, const char *address, int port, char *socket,
                     size_t size, dr_err *err) {
  return dr__tunnel_tcp(rt, target, address, port, socket, size, err);
}

int dr__docker_locate(dr_runtime *rt, dr_target *target, const char *remote, char *socket,
                      size_t size, dr_err *err) {
  const char *kind = target->transport->klass->kind;
  if (strcmp(kind, "local") == 0) {
    if (!remote) return dr__engine_find(socket, size, err) ? 0 : DR_FAILED;
    dr__copy_text(socket, size, remote);
    return 0;
  }
  if (dr__is_ssh(target->transport)) return locate_over_ssh(rt, target, remote, socket, size, err);
  dr__fail(err, "docker.remote_unsupported", "the Docker Engine of %s cannot be reached over %s",
           target->name, kind);
  dr__err_hint(err, "use the compose or docker command line there: target:run{\"docker\", …}");
  return DR_FAILED;
}

void dr__docker_explain_tunnel(dr_runtime *rt, const char *socket, dr_err *err) {
  const char *host = "";
  const dr_err *why = dr__tunnel_error(rt, socket, &host);
  if (!why || strcmp(err->code, "docker.unreachable") != 0) return;
  dr_err cause = DR_ERR_INIT;
  dr__err_copy(&cause, why);
  dr__fail(err, "docker.unreachable", "the Docker Engine on %s cannot be reached%s%s", host,
           cause.code[0] ? ": " : "", cause.message);
  if (strcmp(cause.code, "ssh.channel") == 0) /* sshd, as the login user, does not get in */
    dr__err_hint(err, "%s; where only root may use the engine, say host(…):sudo():docker()",
                 cause.hint);
  else
    dr__err_hint(err, "%s",
                 cause.hint[0]
                     ? cause.hint
                     : "does it run there, and may the login user use it (group docker)? Else "
                       "use host(…):sudo():docker()");
  if (cause.code[0]) dr__err_because(err, &cause);
}
