/* test_http_server.h - a small HTTP server for the tests, with all the faults a real one can have.
 *
 * Runs in a child process, one more for each connection, on a free port of 127.0.0.1. What it
 * answers stands in the path: /ok /json /conn /echo /headers /status/NNN /slow/MS /later/MS (503
 * until MS after the start) /burst/N (502 N times) /nothing /headers-only /close /truncated /loop
 * /redirect /endless /huge /garbage /many-headers /fresh.
 */
#ifndef TEST_HTTP_SERVER_H
#define TEST_HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct test_server {
  int port;
  pid_t pid;
  int *served; /* shared with the children: how often /burst was asked */
  double started;
} test_server;

static double test_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_sleep_ms(long ms) {
  const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static int test_send(int fd, const char *text) {
  size_t length = strlen(text);
  return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

static int test_head_only; /* the request under way is a HEAD */

static void test_reply(int fd, int status, const char *headers, const char *body) {
  char head[1024];
  snprintf(head, sizeof head, "HTTP/1.1 %d Word\r\nContent-Length: %zu\r\n%s\r\n", status,
           strlen(body), headers);
  test_send(fd, head);
  if (!test_head_only) test_send(fd, body);
}

static void test_reply_endless(int fd, const char *head) {
  char block[65536];
  memset(block, 'x', sizeof block);
  test_send(fd, head);
  for (int i = 0; i < 16384; i++) {
    if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0) return;
  }
}

static void test_reply_many_headers(int fd) {
  test_send(fd, "HTTP/1.1 200 OK\r\n");
  for (int i = 0; i < 5000; i++) {
    char line[128];
    snprintf(line, sizeof line, "X-Header-%d: %064d\r\n", i, i);
    if (test_send(fd, line) != 0) return;
  }
  test_send(fd, "Content-Length: 0\r\n\r\n");
}

/* Answers that break the rules; true when the connection is of no more use. */
static int test_misbehave(int fd, const char *path) {
  const char *declared = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
  if (strcmp(path, "/nothing") == 0)
    test_sleep_ms(60000);
  else if (strcmp(path, "/close") == 0)
    return 1;
  else if (strcmp(path, "/garbage") == 0)
    test_send(fd, "220 mail ready\r\n");
  else if (strcmp(path, "/truncated") == 0)
    test_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  else if (strcmp(path, "/endless") == 0)
    test_reply_endless(fd, "HTTP/1.1 200 OK\r\n\r\n");
  else if (strcmp(path, "/huge") == 0)
    test_reply_endless(fd, declared);
  else if (strcmp(path, "/many-headers") == 0)
    test_reply_many_headers(fd);
  else if (strcmp(path, "/headers-only") == 0) {
    test_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
    test_sleep_ms(60000);
  } else
    return 0;
  return 1;
}

/* The number behind `prefix` in the path; -1 when the path is another. */
static int test_number(const char *path, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(path, prefix, length) == 0 ? (int)strtol(path + length, NULL, 10) : -1;
}

/* Paths with a number in them; true when it was one. */
static int test_behave_by_number(const test_server *server, int fd, const char *path) {
  int status = test_number(path, "/status/");
  int slow = test_number(path, "/slow/");
  int later = test_number(path, "/later/");
  int burst = test_number(path, "/burst/");
  if (status >= 0) {
    test_reply(fd, status, "", "as you wish\n");
  } else if (slow >= 0) {
    test_sleep_ms(slow);
    test_reply(fd, 200, "", "slow");
  } else if (later >= 0) {
    int up = test_now() - server->started >= later / 1000.0;
    test_reply(fd, up ? 200 : 503, "", up ? "ok" : "starting\n");
  } else if (burst >= 0) {
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): set by test_server_start */
    int bad = __sync_fetch_and_add(server->served, 1) < burst;
    test_reply(fd, bad ? 502 : 200, "", bad ? "bad gateway\n" : "ok");
  } else {
    return 0;
  }
  return 1;
}

static void test_behave(const test_server *server, int fd, const char *path, const char *request) {
  char text[32];
  if (test_behave_by_number(server, fd, path)) return;
  if (strcmp(path, "/json") == 0) {
    test_reply(fd, 200, "Content-Type: application/json; charset=utf-8\r\n",
               "{\"version\":\"2\",\"n\":3,\"ok\":true,\"a.b\":1,\"list\":[{\"name\":\"x\"}]}");
  } else if (strcmp(path, "/headers") == 0) {
    test_reply(fd, 200,
               "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Two: 1\r\nX-TWO:  2 \r\nX-Bad: \xff!\r\n",
               "\xff\xfe");
  } else if (strcmp(path, "/conn") == 0) {
    snprintf(text, sizeof text, "%d", (int)getpid());
    test_reply(fd, 200, "", text);
  } else if (strcmp(path, "/echo") == 0) {
    test_reply(fd, 200, "", request);
  } else if (strcmp(path, "/loop") == 0) {
    test_reply(fd, 302, "Location: /loop\r\n", "");
  } else if (strcmp(path, "/redirect") == 0) {
    test_reply(fd, 302, "Location: /ok\r\n", "");
  } else if (strcmp(path, "/ok") == 0) {
    test_reply(fd, 200, "X-Version: 7\r\n", "all is ok");
  } else {
    test_reply(fd, 404, "", "nothing here\n");
  }
}

/* Reads one request whole; 0 at the end of the connection. */
static size_t test_read(int fd, char *buffer, size_t size) {
  size_t used = 0;
  while (used < size - 1) {
    ssize_t got = recv(fd, buffer + used, size - 1 - used, 0);
    if (got <= 0) return 0;
    used += (size_t)got;
    buffer[used] = '\0';
    if (buffer[0] == 0x16) test_send(fd, "HTTP/1.1 400 That was TLS\r\n\r\n");
    if (buffer[0] == 0x16) return 0;
    const char *end = strstr(buffer, "\r\n\r\n");
    if (!end) continue;
    const char *length = strcasestr(buffer, "content-length:");
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    if (used >= (size_t)(end - buffer) + 4 + body) return used;
  }
  return used;
}

static void test_serve_connection(const test_server *server, int fd) {
  char request[65536];
  char path[1024];
  while (test_read(fd, request, sizeof request) > 0) {
    if (sscanf(request, "%*s %1023s", path) != 1) return;
    test_head_only = strncmp(request, "HEAD ", 5) == 0;
    if (test_misbehave(fd, path)) return;
    test_behave(server, fd, path, request);
  }
}

static void test_serve(const test_server *server, int listener) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    const int on = 1;
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(listener);
      test_serve_connection(server, fd);
      _exit(0);
    }
    close(fd);
  }
}

/* A free port of 127.0.0.1, listening when `listener` is given. */
static int test_port(int *listener) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0) abort();
  if (listener && listen(fd, 128) != 0) abort();
  if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) abort();
  if (listener)
    *listener = fd;
  else
    close(fd);
  return ntohs(address.sin_port);
}

static void test_server_start(test_server *server) {
  int listener;
  server->served =
      mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (server->served == MAP_FAILED) abort();
  server->port = test_port(&listener);
  server->started = test_now();
  server->pid = fork();
  if (server->pid == 0) test_serve(server, listener);
  close(listener);
}

static void test_server_stop(test_server *server) {
  kill(server->pid, SIGKILL);
  waitpid(server->pid, NULL, 0);
  munmap(server->served, sizeof(int));
}

#endif
