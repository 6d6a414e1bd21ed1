/* docker_logs.h - the last lines a container wrote. Without Lua; runtime's thread. */
#ifndef DR_DOCKER_LOGS_H
#define DR_DOCKER_LOGS_H

#include "docker_engine.h"
#include "target/capture.h"

typedef struct dr_docker_logs dr_docker_logs;

enum { DR_LOGS_KEEP = 1 << 20 }; /* bytes */

typedef struct dr_docker_logs_options {
  const char *container;
  int64_t tail;    /* lines; 0: all */
  double since;    /* Unix time in seconds; 0: from the beginning */
  bool timestamps; /* each line begins with its time */
  double follow;   /* seconds to go on with what is written then; 0: only what is there */
  /* What comes, as it comes; NULL: none. Must not cancel. */
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  /* The end, exactly once; one of log and err is NULL. Both streams are in the log as stream 1, in
   * their order. The dr_docker_logs is gone. */
  void (*on_done)(void *data, const dr_capture *log, dr_err *err);
  void *data;
} dr_docker_logs_options;

/* Returns 0, or DR_FAILED with err filled and then on_done is not called. Options are borrowed
 * during the call. */
int dr__docker_logs_start(dr_docker_logs **out, dr_engine *engine,
                          const dr_docker_logs_options *options, dr_err *err);

void dr__docker_logs_cancel(dr_docker_logs *logs);

#endif
