/* transfer.c - what uploads, downloads and syncs share: sizes for people, progress, errors. Ends
 * with the table of these ops. On the runtime's thread. */
#include "transfer.h"

#include "core/err.h"
#include "ops/binding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern const dr_lua_source dr__lua_transfer;

enum { WORTH_TELLING = 1 << 20 };

const char *dr__transfer_size(char buffer[32], double bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) bytes /= 1024;
  snprintf(buffer, 32, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return buffer;
}

void dr__transfer_add_size(dr_text *text, double bytes) {
  char size[32];
  dr__text_puts(text, dr__transfer_size(size, bytes));
}

double dr__transfer_seconds(const dr_op *op) {
  return (double)(uv_hrtime() - op->started_ns) / 1e9;
}

void dr__transfer_tell(dr_op *op, uint64_t moved, uint64_t total, double rate) {
  char done[32], all[32], speed[32], left[48] = "";
  if (rate > 0 && moved < total)
    snprintf(left, sizeof left, ", %.0f s left", (double)(total - moved) / rate);
  char message[160];
  snprintf(message, sizeof message, "%s of %s, %s/s%s", dr__transfer_size(done, (double)moved),
           dr__transfer_size(all, (double)total), dr__transfer_size(speed, rate), left);
  dr__op_moved(op, moved, total, rate, message);
}

void dr__transfer_tell_done(dr_op *op, const char *verb, const char *what, uint64_t moved,
                            double seconds) {
  char size[32], speed[32];
  if (moved < WORTH_TELLING) return;
  double rate = seconds > 0 ? (double)moved / seconds : 0;
  dr__op_log(op, "%s %s in %.1f s (%s/s): %s", verb, dr__transfer_size(size, (double)moved),
             seconds, dr__transfer_size(speed, rate), what);
}

/* What an exit status of the scripts means, and what to do. */
static const struct meaning {
  int status;
  const char *code;
  const char *message; /* behind the path */
  const char *hint;
} meanings[] = {
    {DR_TRANSFER_FOLDER, "transfer.is_folder", "is a folder there",
     "name the file in it, or end the path with / to keep the file's own name"},
    {DR_TRANSFER_NO_PARENT, "transfer.no_parent", "is in a folder that does not exist there",
     "make it first, or say parents = true"},
    {DR_TRANSFER_DENIED, "transfer.denied", "may not be read or written by this user",
     "use :sudo() or :as(\"user\"), or look at the owner and mode of it and its folder"},
    {DR_TRANSFER_ODD, "transfer.not_a_file", "is no ordinary file there, or a broken link",
     "remove it first if it is in the way"},
    {DR_TRANSFER_FULL, "transfer.no_space",
     "does not fit: the disk became full; what had arrived was removed again",
     "make room on that disk (df -h), then run again"},
    {DR_TRANSFER_WRITE, "transfer.failed", "could not be written there",
     "look at the disk and the log of that machine"},
    {DR_TRANSFER_SHORT, "transfer.short", "did not arrive whole",
     "run again: it goes on where it stopped"},
    {DR_TRANSFER_HASH, "transfer.corrupt",
     "arrived as something else: its SHA-256 is wrong, and it was thrown away",
     "run again; if it stays, look at the disk and the memory of both machines"},
    {DR_TRANSFER_MOVED_ON, "transfer.busy",
     "is being uploaded by somebody else: the partial file changes",
     "run again when that has ended, or take a lock first: target:lock(\"deploy\")"},
    {DR_TRANSFER_OWNER, "transfer.denied", "cannot be given its owner and group by this user",
     "nothing was replaced; use :sudo(), or say owner = with this target's user: a new file takes "
     "the place of the old one, and would belong to somebody else than before"},
    {DR_TRANSFER_NO_SUM, "transfer.no_sha256",
     "cannot be verified: there is neither openssl nor sha256sum",
     "install coreutils, busybox or openssl there"},
    {DR_TRANSFER_MISSING, "transfer.not_found", "does not exist there", "check the path"},
    {DR_TRANSFER_NO_FOLDER, "transfer.not_a_folder", "is no folder there", "check the path"},
    {DR_TRANSFER_NAME, "transfer.name",
     "holds a file with a line end in its name, which the tools there cannot list",
     "rename it, leave it out, or install coreutils and findutils there"},
    {DR_TRANSFER_INSTALL, "transfer.install",
     "was verified, but not all of it could be put in its place: some files are new, some old",
     "see below what failed; run again once that is mended"},
    {DR_TRANSFER_NO_TAR, "transfer.no_tar", "cannot be unpacked: there is no tar",
     "install tar or busybox there"},
};

void dr__transfer_explain(const dr_op *op, int status, const char *path, dr_err *err) {
  const char *words = dr__exec_text(op, 2);
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
    if (meanings[i].status != status) continue;
    dr__fail(err, meanings[i].code, "%.700s %s", path, meanings[i].message);
    dr__err_hint(err, "%s", meanings[i].hint);
    if (*words) dr__err_detail(err, words, strlen(words));
    return;
  }
  dr__exec_failed(op, status, err);
}

static const char *hint_here(int number) {
  switch (number) {
  case ENOSPC:
  case EDQUOT: return "the old file is whole; make room on this machine (df -h), then run again";
  case EACCES:
  case EPERM:
  case EROFS: return "look at the owner and mode of it and its folder on this machine";
  case ENOENT: return "make its folder first, or say parents = true";
  case EISDIR:
    return "a folder is in the way on this machine: name the file in it, or end the path with /";
  case ENOTDIR:
  case EEXIST: return "a file is in the way on this machine: move it away, or choose another path";
  default: return "look at the path and its disk on this machine (dmesg, df -h), then run again";
  }
}

int dr__transfer_fail_here(const char *path, int number, dr_err *err) {
  bool full = number == ENOSPC || number == EDQUOT;
  if (number == ECANCELED) return dr__fail(err, "cancelled", "it was stopped");
  dr__fail(err, full ? "transfer.no_space" : "fs.failed", "%.700s on this machine: %s", path,
           strerror(number));
  dr__err_hint(err, "%s", hint_here(number));
  return DR_FAILED;
}

/* ------------------------------------------------------------ table */

static const dr_opspec ops[] = {
    {.name = "target.upload",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_FILES,
     .args = dr__upload_args,
     .check = dr__upload_check,
     .preview = dr__upload_preview,
     .assume = dr__upload_assume,
     .start = dr__upload_start},
    {.name = "target.download",
     .check = dr__download_check,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches_here = DR_AREA_FILES,
     .args = dr__download_args,
     .preview = dr__download_preview,
     .assume = dr__download_assume,
     .start = dr__download_start},
    {.name = "fs.manifest",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES | DR_AREA_BACKUPS,
     .args = dr__manifest_args,
     .preview = dr__manifest_preview,
     .assume = dr__manifest_assume,
     .start = dr__manifest_start},
    {.name = "target.compare",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES | DR_AREA_BACKUPS,
     .args = dr__compare_args,
     .check = dr__sync_check,
     .preview = dr__compare_preview,
     .assume = dr__compare_assume,
     .start = dr__compare_start},
    {.name = "target.sync",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_FILES,
     .args = dr__sync_args,
     .check = dr__sync_check,
     .preview = dr__sync_preview,
     .assume = dr__sync_assume,
     .start = dr__sync_start},
    {0},
};

const dr_binding dr__binding_transfer = {
    .name = "transfer", .ops = ops, .lua = &dr__lua_transfer, .gives = ":sync :upload :download"};
