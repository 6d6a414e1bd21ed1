/* transfer_attempt.c - the commands that uploads, downloads and syncs are made of, and beginning
 * anew when a connection was lost. On the runtime's thread.
 *
 * Each command of a transfer carries the number of its attempt. A lost connection begins the
 * transfer again with its first question, which finds what has arrived, as often as `attempts`
 * says.
 */
#include "transfer.h"

#include "core/err.h"
#include "fs/fs.h"

#include <string.h>

json_int_t dr__transfer_carried(const dr_op *op, const char *name) {
  return json_integer_value(json_object_get(dr__exec_carry(op), name));
}

dr_exec_spec dr__transfer_ask(json_t *command, json_int_t attempt) {
  return (dr_exec_spec){.command = command,
                        .timeout = DR_PROBE_SECONDS,
                        .delay = attempt > 1 ? (double)(attempt - 1) : 0,
                        .any_status = true,
                        .quiet = true,
                        .carry = json_pack("{s:I}", "attempt", attempt)};
}

dr_exec_spec dr__transfer_ask_hashes(const char *folder, const dr_text *names, const json_t *list,
                                     json_int_t attempt) {
  return (dr_exec_spec){.command = dr__fs_script(folder, dr__sync_hash, json_array()),
                        .timeout = DR_TRANSFER_SECONDS,
                        .keep = DR_TRANSFER_LIST,
                        .any_status = true,
                        .quiet = true,
                        .input = names->bytes,
                        .input_length = names->length,
                        .carry =
                            json_pack("{s:I, s:O}", "attempt", attempt, "list", (json_t *)list)};
}

dr_exec_spec dr__transfer_move(const dr_op *op, json_t *command, json_t *carry,
                               dr_exec_files *files) {
  return (dr_exec_spec){.command = command,
                        .timeout = dr__arg_number(op, "timeout", DR_TRANSFER_SECONDS),
                        .stall = DR_TRANSFER_STALL,
                        .any_status = true,
                        .quiet = true,
                        .files = files,
                        .carry = carry};
}

bool dr__transfer_again(dr_op *op, const char *why, dr_transfer_begin begin) {
  dr_err err = DR_ERR_INIT;
  json_int_t attempt = dr__transfer_carried(op, "attempt") + 1;
  if (attempt > dr__arg_integer(op, "attempts", DR_TRANSFER_ATTEMPTS)) return false;
  dr__op_progress(op, "attempt %d: %s", (int)attempt, why);
  if (begin(op, attempt, &err) == DR_OK) return true;
  dr_err_clear(&err);
  return false;
}

/* Errors after which another attempt is worth it: the connection was lost or could not be made
 * anew, or nothing moved any more. */
static bool passes(const dr_err *err) {
  static const char *const codes[] = {"ssh.connection_lost",  "ssh.connect", "ssh.timeout",
                                      "ssh.exit_status_lost", "ssh.jump",    "transfer.stalled"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(err->code, codes[i]) == 0) return true;
  return false;
}

void dr__transfer_failed(dr_op *op, dr_err *err, dr_transfer_begin begin, const char *hint) {
  if (!passes(err) || dr__transfer_again(op, err->message, begin)) return;
  dr__err_hint(err, "%s", hint);
}
