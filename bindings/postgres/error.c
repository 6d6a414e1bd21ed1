/* error.c - see error.h: the table of SQLSTATEs with their codes and hints, and how an error is
 * written. Called by connection.c; no I/O.
 */
#include "error.h"

#include "../text.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_STATEMENT = 2000, SHOWN_LINE = 160 };

/* ------------------------------------------------------------ codes */

typedef struct meaning {
  const char *sqlstate; /* a whole one, or its first characters */
  const char *words;    /* that the message must have too; or NULL */
  const char *code;
  const char *hint;
} meaning;

/* The first that fits counts. */
static const meaning meanings[] = {
    {"28P01", NULL, "postgres.auth",
     "the password is wrong, or the role has none: check user and password; as an administrator: "
     "ALTER ROLE … PASSWORD …"},
    {"28000", "no encryption", "postgres.auth",
     "the server lets this user in by TLS only: set sslmode = \"require\" (or \"verify-full\" with "
     "sslrootcert)"},
    {"28000", "no pg_hba.conf entry", "postgres.auth",
     "the server lets nobody in from this address with this user and database: add a line to its "
     "pg_hba.conf (`SHOW hba_file`) and `SELECT pg_reload_conf()`, or connect through a host it "
     "knows"},
    {"28000", "Peer authentication", "postgres.auth",
     "by the socket the server lets in only the role that is named like the system user: log in as "
     "that user, or give host = \"localhost\" and a password"},
    {"28000", "does not exist", "postgres.auth",
     "there is no such role: check user; as an administrator: CREATE ROLE … LOGIN"},
    {"28", NULL, "postgres.auth",
     "check user and password, and the lines of the server's "
     "pg_hba.conf for this user"},
    {"3D000", NULL, "postgres.no_database",
     "check dbname; `psql -l` lists what there is. As an administrator: CREATE DATABASE …"},
    {"53300", NULL, "postgres.connections",
     "all connections of the server are taken: see who holds them with db:connections(), end idle "
     "ones, or raise max_connections"},
    {"57P03", NULL, "postgres.starting",
     "the server is starting up, shutting down or recovering: db:wait_ready() waits for it"},
    {"57P01", NULL, "postgres.lost",
     "the server was stopped or an administrator ended the connection; its log says which"},
    {"57P02", NULL, "postgres.lost", "the server crashed and restarts; its log says why"},
    {"57P05", NULL, "postgres.lost",
     "the server ended the connection because it was idle too long"},
    {"57014", "statement timeout", "postgres.timeout",
     "statement_timeout ended it: is it waiting for a lock, or does it lack an index? EXPLAIN "
     "tells "
     "its plan"},
    {"57014", NULL, "postgres.cancelled", "somebody cancelled it on the server"},
    {"55P03", NULL, "postgres.lock_timeout",
     "another session holds the lock: `SELECT pid, state, query FROM pg_stat_activity WHERE state "
     "<> 'idle'` shows what runs; try again when it is over, or give a longer lock_timeout"},
    {"40P01", NULL, "postgres.deadlock",
     "two sessions waited for each other, and this one was ended: nothing of its transaction "
     "remains, try it again"},
    {"40001", NULL, "postgres.serialization",
     "another transaction changed the same rows: nothing of this one remains, try it again"},
    {"25006", NULL, "postgres.read_only",
     "db:query only reads, so that it can run in a dry run too: use db:exec for what writes. A "
     "standby takes no writes at all"},
    {"25001", NULL, "postgres.transaction",
     "it cannot run inside a transaction: give it to db:exec alone, with transaction = false"},
    {"42601", NULL, "postgres.syntax", "look at the marked place"},
    {"42501", NULL, "postgres.denied",
     "the role lacks a right: as the owner or an administrator: GRANT … TO the role"},
    {"42P01", NULL, "postgres.statement",
     "is it in another schema (search_path) or another database, or was a migration not applied?"},
    {"42703", NULL, "postgres.statement",
     "is the name spelled right, or was a migration not applied?"},
    {"22021", NULL, "postgres.statement",
     "text that is no UTF-8 cannot travel: read it as encode(column::bytea, 'escape'), write it as "
     "decode($1, 'hex')"},
    {"53100", NULL, "postgres.disk_full", "make room on the server's disk; its log names the file"},
    {"53200", NULL, "postgres.statement", "the server is short of memory"},
    {"23", NULL, "postgres.constraint",
     "the rows do not fit the constraint; the detail names them"},
    {"", NULL, "postgres.statement", NULL},
};

static const meaning *meaning_of(const char *sqlstate, const char *message) {
  const meaning *it = meanings;
  while (strncmp(sqlstate, it->sqlstate, strlen(it->sqlstate)) != 0 ||
         (it->words && !strstr(message, it->words)))
    it++;
  return it;
}

/* ------------------------------------------------------------ the place */

/* Where in `sql` its character number `position`, from 1, begins. */
static const char *place_of(const char *sql, int position) {
  const char *at = sql;
  for (int left = position - 1; left > 0 && *at; left--) {
    at++;
    while ((*at & 0xC0) == 0x80) at++;
  }
  return at;
}

static int lines_between(const char *from, const char *to) {
  int lines = 0;
  while (from < to) lines += *from++ == '\n';
  return lines;
}

/* "line 3: select foo" and below it the mark. A long line is shown from near the mark on. */
static void add_marked_line(dr_text *text, const char *sql, const char *at, int line) {
  const char *start = at;
  while (start > sql && start[-1] != '\n') start--;
  bool late = at - start > SHOWN_LINE / 2;
  while (at - start > SHOWN_LINE / 2) start++;
  while (late && start < at && start[-1] != ' ') start++; /* no end of a secret word */
  while ((*start & 0xC0) == 0x80) start++;
  int length = (int)strcspn(start, "\n");
  bool cut = length > SHOWN_LINE;
  if (cut) length = SHOWN_LINE;
  while (length > 0 && (start[length] & 0xC0) == 0x80) length--;
  size_t before = text->length;
  dr__text_printf(text, "line %d: ", line);
  size_t indent = text->length - before;
  dr__text_printf(text, "%.*s%s\n", length, start, cut ? " …" : "");
  for (const char *c = start; c < at; c++) indent += (*c & 0xC0) != 0x80;
  dr__text_printf(text, "%*s^\n", (int)indent, "");
}

/* ------------------------------------------------------------ the detail */

static void add_field(dr_text *text, const char *name, const char *value) {
  if (value && value[0]) dr__text_printf(text, "%s: %s\n", name, value);
}

static void add_statement(dr_text *text, const dr_pg_problem *problem, bool marked) {
  if (!problem->sql || (marked && !strchr(problem->sql, '\n'))) return;
  size_t length = strlen(problem->sql);
  bool cut = length > SHOWN_STATEMENT;
  if (cut) length = SHOWN_STATEMENT;
  while (cut && (problem->sql[length] & 0xC0) == 0x80) length--;
  dr__text_puts(text, "statement: ");
  dr__text_add(text, problem->sql, length);
  dr__text_puts(text, cut ? " …\n" : "\n");
}

static void set_detail(dr_err *err, const dr_pg_problem *problem, const char *at, int line) {
  dr_text text = {.failed = false};
  if (at) add_marked_line(&text, problem->sql, at, line);
  add_field(&text, "detail", problem->detail);
  add_field(&text, "server's hint", problem->hint);
  add_field(&text, "context", problem->context);
  add_field(&text, "table", problem->table);
  add_field(&text, "column", problem->column);
  add_field(&text, "constraint", problem->constraint);
  add_statement(&text, problem, at != NULL);
  if (text.length > 0 && text.bytes[text.length - 1] == '\n') text.bytes[--text.length] = '\0';
  if (text.length > 0 && !text.failed) dr__err_detail(err, text.bytes, text.length);
  dr__text_free(&text);
}

void dr__pg_explain(dr_err *err, const dr_pg_problem *problem) {
  const char *sqlstate = problem->sqlstate ? problem->sqlstate : "";
  const char *message = problem->message ? problem->message : "no reason given";
  const char *at =
      problem->sql && problem->position > 0 ? place_of(problem->sql, problem->position) : NULL;
  int line = (problem->line > 0 ? problem->line : 1) + (at ? lines_between(problem->sql, at) : 0);
  const meaning *meant = meaning_of(sqlstate, message);
  if (at)
    dr__fail(err, meant->code, "%s (SQLSTATE %s, line %d)", message, sqlstate, line);
  else
    dr__fail(err, meant->code, "%s (SQLSTATE %s)", message, sqlstate);
  if (meant->hint)
    dr__err_hint(err, "%s", meant->hint);
  else if (problem->hint && problem->hint[0])
    dr__err_hint(err, "%s", problem->hint);
  set_detail(err, problem, at, line);
}

/* ------------------------------------------------------------ connecting */

/* What libpq itself says, in its own words. */
static const meaning libpq_words[] = {
    {"", "no password supplied", "postgres.auth",
     "give a password = secret(\"…\"), or a line in ~/.pgpass"},
    {"", "does not support SSL", "postgres.tls",
     "the server has no TLS: set sslmode = \"disable\" where the way to it is safe without, or "
     "switch `ssl = on` there"},
    {"", "certificate verify failed", "postgres.tls",
     "its certificate is signed by nobody this machine trusts: name the authority's file with "
     "sslrootcert"},
    {"", "does not match host name", "postgres.tls",
     "the certificate was made for another name: connect by a name that it has, or use sslmode = "
     "\"verify-ca\""},
    {"", "root certificate file", "postgres.tls",
     "name the file of the authority's certificate with sslrootcert, or put it at "
     "~/.postgresql/root.crt"},
    {"", "SSL error", "postgres.tls", "do both sides speak a common version of TLS?"},
    {"", "sslmode value", "postgres.tls",
     "by a socket, and through a tunnel, there is no TLS: leave sslmode out"},
    {"", "No such file or directory", "postgres.unreachable",
     "no server listens at that socket: does it run? `SHOW unix_socket_directories` tells its "
     "folder; host = \"localhost\" connects by TCP"},
    {"", "Connection refused", "postgres.unreachable",
     "nothing listens there: does the server run, on this port, and does its listen_addresses have "
     "this address?"},
    {"", "Permission denied", "postgres.unreachable", "this user may not use the server's socket"},
    {"", "session is read-only", "postgres.unreachable",
     "target_session_attrs wants another "
     "server than this"},
    {"", "invalid", "postgres.connect", "check the connection's keywords"},
    {"", "", "postgres.unreachable",
     "does the server run there, and does a firewall let this machine in?"},
};

/* The first "FATAL:  28P01: " of the text: libpq gives the SQLSTATE of a refusal in no other way.
 * NULL when the server said nothing. */
static const char *find_sqlstate(const char *text, char sqlstate[6]) {
  for (const char *at = strstr(text, ":  "); at; at = strstr(at + 3, ":  ")) {
    const char *code = at + 3;
    if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 || code[5] != ':') continue;
    memcpy(sqlstate, code, 5);
    sqlstate[5] = '\0';
    return code + 7;
  }
  return NULL;
}

/* "connection to server at "db" (10.0.0.1), port 5432 failed: …": what is behind it; the place is
 * told by whoever knows its name. */
static const char *without_place(const char *text) {
  const char *failed = strstr(text, " failed: ");
  const char *end = strchr(text, '\n');
  return failed && (!end || failed < end) ? failed + 9 : text;
}

static void copy_line(char *line, size_t size, const char *text) {
  size_t length = strcspn(text, "\n");
  if (length >= size) length = size - 1;
  memcpy(line, text, length);
  line[length] = '\0';
}

/* Of several addresses that were tried, what each came to. */
static void set_attempts(dr_err *err, const char *text) {
  static const char begin[] = "connection to server";
  const char *second = strstr(text, begin);
  dr_text all = {.failed = false};
  second = second ? strstr(second + 1, begin) : NULL;
  for (const char *at = text; second && *at; at += strcspn(at, "\n"), at += *at == '\n') {
    if (strncmp(at, begin, sizeof begin - 1) != 0) continue;
    if (all.length > 0) dr__text_puts(&all, "\n");
    dr__text_add(&all, at, strcspn(at, "\n"));
  }
  if (all.length > 0 && !all.failed) dr__err_detail(err, all.bytes, all.length);
  dr__text_free(&all);
}

void dr__pg_explain_connect(dr_err *err, const char *text) {
  char sqlstate[6];
  char line[512];
  const char *said = find_sqlstate(text, sqlstate);
  const meaning *meant = libpq_words;
  if (said) {
    copy_line(line, sizeof line, said);
    meant = meaning_of(sqlstate, line);
    dr__fail(err, meant->code, "%s (SQLSTATE %s)", line, sqlstate);
  } else {
    copy_line(line, sizeof line, without_place(text));
    while (!strstr(text, meant->words)) meant++;
    dr__fail(err, meant->code, "%s", line[0] ? line : "the connection failed");
  }
  if (meant->hint) dr__err_hint(err, "%s", meant->hint);
  set_attempts(err, text);
}
