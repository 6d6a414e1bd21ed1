/* init.c - the list of bindings. A new one is added here and in CMakeLists.txt, and nowhere else.
 */
#include "ops/binding.h"

#define BINDINGS(X)                                                                                \
  X(time)                                                                                          \
  X(env)                                                                                           \
  X(confirm)                                                                                       \
  X(target)                                                                                        \
  X(git)                                                                                           \
  X(lock)                                                                                          \
  X(fs)                                                                                            \
  X(env_file)                                                                                      \
  X(template)                                                                                      \
  X(transfer)                                                                                      \
  X(http)                                                                                          \
  X(net)                                                                                           \
  X(notify)                                                                                        \
  X(docker)                                                                                        \
  X(docker_pull)                                                                                   \
  X(docker_images)                                                                                 \
  X(docker_run)                                                                                    \
  X(docker_oneoff)                                                                                 \
  X(docker_events)                                                                                 \
  X(docker_objects)                                                                                \
  X(swarm)                                                                                         \
  X(http_watch)                                                                                    \
  X(compose)                                                                                       \
  X(compose_replace)                                                                               \
  X(compose_recreate)                                                                              \
  X(postgres)                                                                                      \
  X(postgres_stack)                                                                                \
  X(postgres_sql)                                                                                  \
  X(nginx)                                                                                         \
  X(systemd)                                                                                       \
  X(process)                                                                                       \
  X(gunicorn)                                                                                      \
  X(postgres_migrate)                                                                              \
  X(postgres_backup)                                                                               \
  X(group)

#define DECLARE(name) extern const dr_binding dr__binding_##name;
#define ADDRESS(name) &dr__binding_##name,

BINDINGS(DECLARE)

const dr_binding *const dr__bindings[] = {BINDINGS(ADDRESS) NULL};
