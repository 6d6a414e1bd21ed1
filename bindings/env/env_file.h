/* env_file.h - env files: NAME=value lines, as Docker Compose, systemd and `docker run` read them,
 * who do not agree about quotes. Pure: no I/O, no Lua, any thread; fuzzed. Used by env_file_op.c.
 *
 *   compose     an env_file of version 2: 'literal', "with \n escapes and ${NAME}", plain up to "
 * #" compose-v1  an env_file of docker-compose 1: ${NAME} counts in single quotes too, $NAME
 * nowhere systemd     EnvironmentFile=: 'literal', "…" with \" \\ \$ \`, a line that ends with
 * \ goes on, no ${NAME}, comments only at the beginning of a line docker      docker run
 * --env-file: the rest of the line as it stands, quotes and all
 *
 * A name without = stands for a variable of who reads the file, except for systemd: it is left out.
 */
#ifndef DR_ENV_FILE_H
#define DR_ENV_FILE_H

#include <deployrun.h>

#include <jansson.h>

typedef enum dr_env_dialect {
  DR_ENV_COMPOSE,
  DR_ENV_SYSTEMD,
  DR_ENV_DOCKER,
  DR_ENV_COMPOSE_V1
} dr_env_dialect;

enum { DR_ENV_DIALECTS = 4 };

/* "compose", "systemd", "docker", "compose-v1". False for any other name. */
bool dr__env_dialect_of(dr_env_dialect *out, const char *name);

/* [{name, value, line}] in the order of the file; of a name that stands twice the last one counts
 * where it is used. NULL with err filled: env_file.syntax (the message names the line, never a
 * value), out_of_memory. */
json_t *dr__env_file_parse(const char *text, size_t length, dr_env_dialect dialect, dr_err *err);

/* The text of a file with these variables, [{name, value}], one a line; malloc'd. NULL with err
 * filled: env_file.format (a value that the dialect cannot express), out_of_memory. */
char *dr__env_file_format(const json_t *variables, dr_env_dialect dialect, dr_err *err);

/* True when a variable looks like a key: by its name (PASSWORD, TOKEN …) or because its value is a
 * URL with a password in it. */
bool dr__env_file_is_secret(const char *name, const char *value);

#endif
