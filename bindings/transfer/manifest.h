/* manifest.h - what is in a folder: files with size and SHA-256, folders, symbolic links; from this
 * machine's disk or from a target's answer; and what differs between two. Pure C, any thread. */
#ifndef DR_MANIFEST_H
#define DR_MANIFEST_H

#include <deployrun.h>

#include <jansson.h>
#include <stdatomic.h>

typedef struct dr_entry {
  char type; /* 'f' file, 'd' folder, 'l' link, 'o' anything else */
  unsigned mode;
  int64_t size;
  char sha256[65]; /* of a file, "" when not known */
  char *path;      /* relative, "a/b"; owned */
  char *link;      /* what a link says; owned */
  char ids[48];    /* "1000:1000"; of a target's */
  char owner[160]; /* "app:app" */
  bool closed;     /* a folder of a target in which its user may change nothing */
} dr_entry;

typedef struct dr_manifest {
  dr_entry *entries; /* in the order of their paths, so that a folder stands before what is in it */
  size_t count;
  size_t room;
  int64_t available; /* bytes left on a target's disk, -1: not known */
  char *user;        /* of a target's: "1000:1000 1000 27", its user and all their groups; owned */
  char group[24];    /* of a target's: the group of new files in it, "" when that of the user */
} dr_manifest;

void dr__manifest_free(dr_manifest *manifest);

/* True when a path, or a folder it is in, is left out by a pattern. One without / is for names
 * anywhere ("*.pyc"), any other for the whole path ("/var", "docs/draft*"). */
bool dr__manifest_excludes(const json_t *patterns, const char *path);

/* Adds an entry with a path, otherwise empty; NULL when memory is short. Puts them in order. */
dr_entry *dr__manifest_add(dr_manifest *manifest, const char *path, size_t length);
void dr__manifest_sort(dr_manifest *manifest);

/* Drops the entries that patterns leave out. */
void dr__manifest_drop(dr_manifest *manifest, const json_t *patterns);

/* Reads a folder of this machine, hashing its files. Links are not followed. DR_FAILED with err
 * filled; *out is to be freed in any case. */
int dr__manifest_scan(dr_manifest *out, const char *root, const json_t *exclude,
                      const atomic_bool *stop, dr_err *err);

/* Reads the answer of the listing script (sync_script.c). False when it is none. */
bool dr__manifest_read(dr_manifest *out, const char *bytes, size_t length);

/* The SHA-256 of the whole: names, kinds, modes, contents. */
void dr__manifest_digest(const dr_manifest *manifest, char hex[65]);

/* The entry of that path, or NULL. */
dr_entry *dr__manifest_find(const dr_manifest *manifest, const char *path);

/* How a folder is to become like another. */
typedef struct dr_sync_rules {
  const json_t *exclude; /* patterns: such entries are left alone */
  bool remove;           /* what is not in the source goes */
  const char *mode;      /* of files, octal; NULL: as here */
  const char *dir_mode;  /* of folders; NULL: as here for new ones, as it is for others */
  const char *owner;     /* or NULL */
} dr_sync_rules;

typedef enum dr_change {
  DR_CHANGE_NONE,
  DR_CHANGE_SEND,  /* new or different */
  DR_CHANGE_ADJUST /* the same bytes; mode or owner differ */
} dr_change;

typedef struct dr_sync_plan {
  dr_change *here; /* for each entry of the source */
  bool *clear;   /* for each entry of the source: what is there is of another kind and goes first */
  bool *gone;    /* for each entry of the target: to be removed */
  int64_t *have; /* for each entry of the source: bytes that a sync which was cut off left there */
  bool *own;     /* for each entry of the source: keeps the owner and group of what is there */
  bool *remode;  /* for each entry of the source: what it left has not its mode yet */
  size_t send, adjust, remove;
  int64_t bytes;           /* of the files to be sent */
  int64_t kept;            /* of these are there already */
  int64_t twice;           /* of these are on the disk twice for a moment */
  const char *blocked;     /* a path of another kind, where nothing may be removed; or NULL */
  const dr_entry *foreign; /* of the target: somebody else's, and to be replaced or adjusted by a
                              user who cannot keep it theirs; or NULL */
  const dr_entry *closed;  /* a folder of the target whose user may not change what is in it; or
                              NULL */
} dr_sync_plan;

/* Compares. False when memory is short. `there` may be NULL: nothing is there. */
bool dr__manifest_compare(dr_sync_plan *out, const dr_manifest *here, const dr_manifest *there,
                          const dr_sync_rules *rules);
void dr__sync_plan_free(dr_sync_plan *plan);

/* True when the target's hash is needed to know whether a file is the same. */
bool dr__manifest_must_hash(const dr_manifest *here, const dr_entry *there);

/* Gives each of the target's files that had to be hashed its hash, in order, one a line and "end"
 * behind them; without `here` every file was. False when the text has another number. */
bool dr__manifest_read_hashes(const dr_manifest *here, dr_manifest *there, const char *text);

unsigned dr__sync_mode(const dr_entry *entry, const dr_sync_rules *rules);

#endif
