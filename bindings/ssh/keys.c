/* ssh/keys.c - private key files: reads each once for all connections, asking for a passphrase
 * where one is needed.
 *
 * Called by auth.c on session threads. The pool keeps the keys; the lock is not held while one is
 * decrypted, which takes a tenth of a second by design.
 */
#include "internal.h"

#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PASSPHRASES = 3 };

void dr__ssh_keys_free(dr_ssh_cached_key *keys) {
  while (keys != NULL) {
    dr_ssh_cached_key *next = keys->next;
    ssh_key_free(keys->key);
    free(keys->path);
    free(keys);
    keys = next;
  }
}

/* A copy of the cached key, or NULL. */
static ssh_key cached(dr_ssh_pool *pool, const char *path) {
  ssh_key copy = NULL;
  uv_mutex_lock(&pool->lock);
  for (dr_ssh_cached_key *key = pool->keys; key != NULL && copy == NULL; key = key->next) {
    if (strcmp(key->path, path) == 0) copy = ssh_key_dup(key->key);
  }
  uv_mutex_unlock(&pool->lock);
  return copy;
}

static void remember(dr_ssh_pool *pool, const char *path, ssh_key key) {
  dr_ssh_cached_key *entry = calloc(1, sizeof *entry);
  if (entry == NULL) return;
  entry->path = strdup(path);
  entry->key = ssh_key_dup(key);
  if (entry->path == NULL || entry->key == NULL) {
    dr__ssh_keys_free(entry);
    return;
  }
  uv_mutex_lock(&pool->lock);
  entry->next = pool->keys;
  pool->keys = entry;
  uv_mutex_unlock(&pool->lock);
}

/* libssh calls this when the file is encrypted; giving no passphrase ends the attempt. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is set by libssh */
static int on_passphrase(const char *prompt, char *buffer, size_t length, int echo, int verify,
                         void *data) {
  bool *locked = data;
  (void)prompt, (void)buffer, (void)length, (void)echo, (void)verify;
  *locked = true;
  return -1;
}

/* Looks at the file before libssh does, for a message that says what is wrong with it. */
static dr_ssh_key_result inspect(const char *path, char *why, size_t why_size) {
  struct stat info;
  if (stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) return DR_SSH_KEY_MISSING;
  if (access(path, R_OK) != 0) {
    snprintf(why, why_size, "%s", strerror(errno));
    return DR_SSH_KEY_UNUSABLE;
  }
  if (info.st_uid == getuid() && (info.st_mode & 077) != 0) {
    snprintf(why, why_size, "others may read it (mode %04o; chmod 600)",
             (unsigned)info.st_mode & 07777);
    return DR_SSH_KEY_UNUSABLE;
  }
  return DR_SSH_KEY_OK;
}

/* Asks until the passphrase fits, at most three times. */
static dr_ssh_key_result unlock(dr_ssh_session *s, const char *path, ssh_key *out, char *why,
                                size_t why_size) {
  unsigned generation = 0;
  char question[1024];
  snprintf(question, sizeof question, "Passphrase of %s: ", path);
  for (int attempt = 0; attempt < MAX_PASSPHRASES; attempt++) {
    char *passphrase = NULL;
    if (dr__ssh_ask(s, path, question, true, &generation, &passphrase) != DR_OK) {
      return DR_SSH_KEY_STOPPED;
    }
    if (passphrase == NULL) break;
    int rc = ssh_pki_import_privkey_file(path, passphrase, NULL, NULL, out);
    explicit_bzero(passphrase, strlen(passphrase));
    free(passphrase);
    if (rc == SSH_OK) return DR_SSH_KEY_OK;
    snprintf(question, sizeof question, "That was not it. Passphrase of %s: ", path);
  }
  snprintf(why, why_size, "it needs a passphrase");
  return DR_SSH_KEY_LOCKED;
}

dr_ssh_key_result dr__ssh_key_load(dr_ssh_session *s, const char *path, bool ask, ssh_key *out,
                                   char *why, size_t why_size) {
  bool locked = false;
  why[0] = '\0';
  *out = cached(s->pool, path);
  if (*out != NULL) return DR_SSH_KEY_OK;
  dr_ssh_key_result result = inspect(path, why, why_size);
  if (result != DR_SSH_KEY_OK) return result;
  if (ssh_pki_import_privkey_file(path, NULL, on_passphrase, &locked, out) != SSH_OK) {
    *out = NULL;
    result = locked ? DR_SSH_KEY_LOCKED : DR_SSH_KEY_UNUSABLE;
    snprintf(why, why_size, "%s", locked ? "it needs a passphrase" : "it is not a private key");
    if (locked && ask && dr__ssh_may_ask(s)) result = unlock(s, path, out, why, why_size);
  }
  if (result == DR_SSH_KEY_OK) remember(s->pool, path, *out);
  return result;
}
