/* backup_manifest.c - see backup_manifest.h. Owns nothing; called by the backup ops and their
 * workers, on any thread.
 */
#include "backup_manifest.h"

#include "core/err.h"
#include "core/json.h"
#include "sha256.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ the seal */

/* SHA-256 of the manifest without its seal, in one spelling: keys sorted, no white space. */
static bool seal_of(const json_t *manifest, char hex[65]) {
  json_t *rest = json_copy((json_t *)manifest);
  if (!rest) return false;
  json_object_del(rest, "seal");
  char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(rest);
  if (!text) return false;
  dr__sha256_of(text, strlen(text), hex);
  free(text);
  return true;
}

char *dr__backup_manifest_print(json_t *manifest) {
  char seal[65];
  if (!manifest || !seal_of(manifest, seal)) return NULL;
  if (json_object_set_new(manifest, "seal", json_string(seal)) != 0) return NULL;
  return json_dumps(manifest, JSON_INDENT(2));
}

/* ------------------------------------------------------------ the fields */

static bool is_sha256(const char *text) {
  return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* "2026-11-29T16:53:45.123Z": it sorts as text. */
static bool is_time(const char *text) {
  static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
  if (!text || strlen(text) != sizeof form - 1) return false;
  for (size_t i = 0; form[i]; i++)
    if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i]) return false;
  return true;
}

const char *dr__backup_manifest_text(const json_t *manifest, const char *name) {
  const char *text = json_string_value(json_object_get(manifest, name));
  return text ? text : "";
}

int64_t dr__backup_manifest_bytes(const json_t *manifest, const char *part) {
  return json_integer_value(json_object_get(json_object_get(manifest, part), "bytes"));
}

const char *dr__backup_manifest_sha256(const json_t *manifest, const char *part) {
  return dr__backup_manifest_text(json_object_get(manifest, part), "sha256");
}

int64_t dr__backup_manifest_rows(const json_t *manifest) {
  int64_t rows = 0;
  size_t i;
  json_t *table;
  json_array_foreach(json_object_get(manifest, "tables"), i, table) {
    int64_t more = json_integer_value(json_object_get(table, "rows"));
    rows = more > INT64_MAX - rows ? INT64_MAX : rows + more;
  }
  return rows;
}

static bool is_size(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_file(const json_t *file) {
  return is_size(json_object_get(file, "bytes")) &&
         is_sha256(dr__backup_manifest_text(file, "sha256"));
}

static bool are_tables(const json_t *tables) {
  size_t i;
  json_t *table;
  if (!json_is_array(tables)) return false;
  json_array_foreach(tables, i, table) {
    if (!json_is_string(json_object_get(table, "schema")) ||
        !json_is_string(json_object_get(table, "name")) || !is_size(json_object_get(table, "rows")))
      return false;
  }
  return true;
}

static bool is_verified(const json_t *verified) {
  const char *how = dr__backup_manifest_text(verified, "how");
  return is_time(dr__backup_manifest_text(verified, "at")) &&
         (strcmp(how, "read") == 0 || strcmp(how, "restore") == 0);
}

static bool is_refuted(const json_t *refuted) {
  return is_time(dr__backup_manifest_text(refuted, "at")) &&
         *dr__backup_manifest_text(refuted, "why");
}

/* The field that is missing or wrong; NULL when all is well. */
static const char *wrong_field(const json_t *manifest) {
  static const char *const texts[] = {"database", "by", "server", "pg_dump"};
  const json_t *archive = json_object_get(manifest, "archive");
  const json_t *globals = json_object_get(manifest, "globals");
  const json_t *verified = json_object_get(manifest, "verified");
  const json_t *refuted = json_object_get(manifest, "refuted");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (!*dr__backup_manifest_text(manifest, texts[i])) return texts[i];
  if (!is_time(dr__backup_manifest_text(manifest, "taken"))) return "taken";
  if (!is_file(archive) || !is_size(json_object_get(archive, "plain_bytes")) ||
      !is_sha256(dr__backup_manifest_text(archive, "plain_sha256")))
    return "archive";
  if (globals && !is_file(globals)) return "globals";
  if (!json_is_object(json_object_get(manifest, "properties"))) return "properties";
  if (!are_tables(json_object_get(manifest, "tables"))) return "tables";
  if (verified && !is_verified(verified)) return "verified";
  if (refuted && (verified || !is_refuted(refuted))) return "refuted";
  return NULL;
}

/* ------------------------------------------------------------ the reading */

static json_t *refuse(json_t *manifest, dr_err *err, const char *why) {
  json_decref(manifest);
  dr__fail(err, "backup.manifest", "the backup's manifest %s", why);
  dr__err_hint(err, "take it from where the backup was copied from; without its manifest a backup "
                    "cannot be trusted");
  return NULL;
}

static json_t *judge(json_t *manifest, dr_err *err) {
  char seal[65], why[96];
  json_int_t format = json_integer_value(json_object_get(manifest, "format"));
  if (!json_is_object(manifest)) return refuse(manifest, err, "is no JSON object");
  if (format > DR_BACKUP_FORMAT)
    return refuse(manifest, err, "is of a later deployrun: use that one, or a newer one");
  if (format != DR_BACKUP_FORMAT) return refuse(manifest, err, "has no format that is known");
  if (!seal_of(manifest, seal)) {
    json_decref(manifest);
    dr__err_nomem(err);
    return NULL;
  }
  if (strcmp(seal, dr__backup_manifest_text(manifest, "seal")) != 0)
    return refuse(manifest, err, "was changed after it was written");
  const char *wrong = wrong_field(manifest);
  if (!wrong) return manifest;
  snprintf(why, sizeof why, "has no right \"%s\"", wrong);
  return refuse(manifest, err, why);
}

json_t *dr__backup_manifest_read(const char *text, size_t length, dr_err *err) {
  json_error_t error;
  char why[256];
  if (length == 0) return refuse(NULL, err, "is empty");
  json_t *manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
  if (manifest) return judge(manifest, err);
  if (json_error_code(&error) == json_error_out_of_memory) {
    dr__err_nomem(err);
    return NULL;
  }
  snprintf(why, sizeof why, "is no JSON: line %d: %.160s", error.line, error.text);
  return refuse(NULL, err, why);
}

bool dr__backup_manifest_verified(json_t *manifest, const char *at, const char *how) {
  if (json_object_get(manifest, "refuted") && strcmp(how, "restore") != 0) return true;
  const json_t *before = json_object_get(manifest, "verified");
  bool better = strcmp(dr__backup_manifest_text(before, "how"), "restore") == 0;
  json_t *verified = json_pack("{s:s, s:s}", "at", at, "how", better ? "restore" : how);
  json_object_del(manifest, "refuted");
  return verified && json_object_set_new(manifest, "verified", verified) == 0;
}

bool dr__backup_manifest_refuted(json_t *manifest, const char *at, const char *why) {
  json_t *refuted = json_pack("{s:s, s:o}", "at", at, "why", dr__json_string(why));
  json_object_del(manifest, "verified");
  return refuted && json_object_set_new(manifest, "refuted", refuted) == 0;
}

/* ------------------------------------------------------------ comparing */

static const json_t *find_table(const json_t *tables, const json_t *like, size_t hint) {
  const char *schema = dr__backup_manifest_text(like, "schema");
  const char *name = dr__backup_manifest_text(like, "name");
  size_t count = json_array_size(tables);
  for (size_t i = 0; i < count; i++) { /* both are in the same order as a rule */
    const json_t *table = json_array_get(tables, (hint + i) % count);
    if (strcmp(dr__backup_manifest_text(table, "schema"), schema) == 0 &&
        strcmp(dr__backup_manifest_text(table, "name"), name) == 0)
      return table;
  }
  return NULL;
}

bool dr__backup_tables_same(const json_t *wanted, const json_t *found, char *why, size_t size) {
  size_t i;
  json_t *table;
  json_array_foreach((json_t *)wanted, i, table) {
    const json_t *other = find_table(found, table, i);
    long long rows = json_integer_value(json_object_get(table, "rows"));
    long long there = json_integer_value(json_object_get(other, "rows"));
    if (other && rows == there) continue;
    const char *schema = dr__backup_manifest_text(table, "schema");
    const char *name = dr__backup_manifest_text(table, "name");
    if (other)
      snprintf(why, size, "%s.%s has %lld rows and had %lld", schema, name, there, rows);
    else
      snprintf(why, size, "%s.%s is missing", schema, name);
    return false;
  }
  return true;
}

int dr__backup_version(const char *text, char *version, size_t size) {
  const char *at = text;
  while (*at && !(isdigit((unsigned char)*at) && (at == text || at[-1] == ' '))) at++;
  size_t length = strspn(at, "0123456789.");
  int major = 0;
  for (size_t i = 0; i < length && at[i] != '.' && major < 100000; i++)
    major = major * 10 + (at[i] - '0');
  snprintf(version, size, "%.*s", (int)(length < 32 ? length : 32), at);
  return major;
}
