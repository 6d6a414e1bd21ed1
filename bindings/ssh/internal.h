/* ssh/internal.h - what the files of this folder share.
 *
 * Who owns what:
 *   pool       the loop's thread, except the fields under its lock
 *   transport  the loop's thread only
 *   session    one connection: one thread that owns the libssh session, its socket and every libssh
 * channel. A transport makes a new session whenever it needs a connection and has none channel one
 * command or stream. Made on the loop's thread, handed to a session, worked on by its thread, and
 * given back as news when it is over
 *
 * The pool's one lock guards everything two threads look at; it is never held across a call that
 * waits, nor across a callback. A session's thread sleeps in poll() only, with its wake descriptor
 * in the set, so that stopping, cancelling or handing it work takes effect at once whatever it is
 * waiting for. libssh is used in non-blocking mode throughout.
 */
#ifndef DR_SSH_INTERNAL_H
#define DR_SSH_INTERNAL_H

#include "config.h"
#include "ssh.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <poll.h>
#include <pthread.h>
#include <uv.h>

typedef struct dr_ssh_session dr_ssh_session;
typedef struct dr_ssh_channel dr_ssh_channel;
typedef struct dr_ssh_transport dr_ssh_transport;
typedef struct dr_ssh_place dr_ssh_place;

/* Received output that the loop has not taken yet: the most one channel may hold before it is no
 * longer read. */
enum { DR_SSH_OUTPUT_LIMIT = 1 << 20 };

/* ------------------------------------------------------------ pool.c */

/* Something that a session's thread has to tell the loop. Embedded; queued at most once at a time.
 */
typedef struct dr_ssh_news {
  struct dr_ssh_news *next;
  bool queued;
  void (*deliver)(struct dr_ssh_news *news); /* on the loop's thread, without the lock */
} dr_ssh_news;

/* An answer of a person, kept for the life of the pool. */
typedef struct dr_ssh_answer {
  struct dr_ssh_answer *next;
  char *key;
  char *text; /* NULL: nobody answered */
  unsigned generation;
} dr_ssh_answer;

/* A private key that was read. */
typedef struct dr_ssh_cached_key {
  struct dr_ssh_cached_key *next;
  char *path;
  ssh_key key;
} dr_ssh_cached_key;

struct dr_ssh_pool {
  uv_loop_t *loop;
  uv_async_t async;
  dr_asker asker;
  void *asker_data;

  /* the loop's thread only */
  int references; /* transports, and the open handle */
  bool closed;
  unsigned active;          /* commands under way: they keep the loop running */
  dr_ssh_session *sessions; /* whose threads have not been joined */
  dr_ssh_tunnel *tunnels;
  dr_ssh_answer *answers;

  /* under lock */
  uv_mutex_t lock;
  uv_cond_t told; /* there are news; waited for when the pool is closed */
  dr_ssh_news *news, **news_end;
  unsigned tokens; /* connections that may begin to be set up */
  dr_ssh_session *waiters, **waiters_end;
  dr_ssh_place *places; /* addresses that were connected to */
  dr_ssh_cached_key *keys;
};

/* Queues news. With the lock held; any thread. */
void dr__ssh_tell(dr_ssh_pool *pool, dr_ssh_news *news);

void dr__ssh_pool_unref(dr_ssh_pool *pool);

/* Counts commands under way, which keep the loop running. Loop's thread. */
void dr__ssh_pool_busy(dr_ssh_pool *pool, int change);

/* The answer to a question: one given before under the same key and not yet found wrong (its
 * generation is above `seen`), else a new one. Borrowed; NULL when nobody answered. Loop's thread.
 */
const dr_ssh_answer *dr__ssh_pool_answer(dr_ssh_pool *pool, const char *key, const char *question,
                                         bool secret, unsigned seen);

/* ------------------------------------------------------------ session.c */

/* Between a session that goes through a jump host and the stream that carries it. Under the pool's
 * lock. */
typedef enum dr_ssh_link_state {
  DR_SSH_LINK_WAITING, /* for the jump host's connection, which has its own bound */
  DR_SSH_LINK_OPENING, /* the jump host was asked to connect */
  DR_SSH_LINK_OPEN,
  DR_SSH_LINK_ENDED /* err says why, when it was an error */
} dr_ssh_link_state;

typedef struct dr_ssh_link {
  int references;
  dr_ssh_channel *carrier; /* the stream; NULL when it is over. Loop's thread only */
  dr_ssh_link_state state;
  dr_ssh_session *session; /* to be woken; NULL when it is gone */
  dr_err err;
} dr_ssh_link;

typedef enum dr_ssh_ask_state {
  DR_SSH_ASK_NONE,
  DR_SSH_ASK_WAITING,
  DR_SSH_ASK_DONE
} dr_ssh_ask_state;

typedef struct dr_ssh_ask {
  dr_ssh_ask_state state;
  char question[1024];
  char key[512];
  bool secret;
  unsigned seen;
  char *answer; /* owned; NULL: nobody answered */
  unsigned generation;
} dr_ssh_ask;

typedef struct dr_ssh_closing {
  ssh_channel ssh;
  bool opening; /* the server has not answered yet whether it opens the channel */
} dr_ssh_closing;

struct dr_ssh_session {
  dr_ssh_news news;
  dr_ssh_pool *pool;
  dr_ssh_config *config; /* referenced */
  pthread_t thread;
  int wake_fd;

  /* the loop's thread only */
  dr_ssh_session *next;
  dr_ssh_transport *transport; /* NULL when it has let go */

  /* under the pool's lock */
  bool stop;           /* end now */
  bool ready;          /* logged in */
  bool ended;          /* takes no more channels; the thread is about to return */
  bool token;          /* may set up its connection */
  bool slot;           /* is one of those that do so at its address */
  dr_ssh_place *place; /* its address, once that is known */
  bool waiting;
  dr_ssh_session *next_waiter;
  dr_ssh_channel *inbox, **inbox_end;
  dr_ssh_link *link; /* NULL without a jump host */
  dr_ssh_ask ask;

  /* the session's thread only */
  int fd;       /* the connection */
  bool adopted; /* libssh has it, and closes it when it fails */
  int jump_fd;  /* our end of the pair to the jump host, until it becomes fd */
  pid_t proxy;
  ssh_session ssh;
  ssh_event event;
  struct ssh_counter_struct counter;
  bool turned_away;  /* closed before it began: worth another attempt */
  const char *stage; /* what connecting is busy with, for messages */
  const char *timeout_hint;
  uint64_t deadline_ms; /* of connecting; 0: none */
  uint64_t heard_ms;    /* when something came last */
  uint64_t heard_bytes; /* how much had come then */
  uint64_t quiet_ms;    /* the later of that and the last keepalive */
  int unanswered;       /* keepalives */
  dr_ssh_channel *channels;
  dr_ssh_closing *closing; /* libssh channels that are over but not yet closed towards the server */
  size_t closing_count;
  unsigned open_commands; /* session channels, from asking for one to letting go of it */
  unsigned most_commands; /* as many as the server was found to allow at a time */
  bool opened_any;        /* it has opened one */
  ssh_channel spare;      /* an open session channel that nobody has used yet, or NULL */
  dr_err err;             /* why it ended */
};

/* A session that is not yet begun. jump_fd is this side's end of the pair to the jump host, or -1;
 * it is taken over. NULL with err filled when that cannot be. Loop's thread. */
dr_ssh_session *dr__ssh_session_new(dr_ssh_transport *transport, int jump_fd, dr_err *err);

/* Begins the session's thread with the channel that it is made for. When that cannot be, the
 * session is freed and the channel stays the caller's. Loop's thread. */
int dr__ssh_session_start(dr_ssh_session *session, dr_ssh_channel *channel, dr_err *err);

/* Frees a session whose thread has ended, or was never begun. Loop's thread. */
void dr__ssh_session_free(dr_ssh_session *session);

/* Puts a channel into the inbox. With the lock held. */
void dr__ssh_session_add(dr_ssh_session *session, dr_ssh_channel *channel);

/* Asks a session to end. With the lock held; any thread. */
void dr__ssh_session_stop(dr_ssh_session *session);

/* Ends the thread's sleep. Any thread. */
void dr__ssh_wake(dr_ssh_session *session);

uint64_t dr__ssh_now_ms(void);

/* Waits until one of the descriptors is ready, the session is woken, or cap_ms has passed (-1: no
 * cap). Returns DR_OK, or DR_FAILED with session->err filled when the session is to stop
 * ("cancelled") or its deadline has passed
 * ("ssh.timeout"). The set's revents are set. At most 15 descriptors. Session's thread. */
int dr__ssh_wait(dr_ssh_session *session, struct pollfd *set, nfds_t count, int cap_ms);

/* Waits until libssh can go on. DR_FAILED as above; or, with session->err left empty, because the
 * server has hung up, which libssh's own calls go on taking for "not yet". */
int dr__ssh_wait_io(dr_ssh_session *session);

/* True when there is somebody to ask, and the configuration does not forbid it (BatchMode). */
bool dr__ssh_may_ask(const dr_ssh_session *session);

/* Asks a person and waits for the answer, the deadline standing still meanwhile. *answer is
 * malloc'd, or NULL when nobody answered. `*generation` takes part as in dr__ssh_pool_answer().
 * Session's thread. */
int dr__ssh_ask(dr_ssh_session *session, const char *key, const char *question, bool secret,
                unsigned *generation, char **answer);

/* The libssh error text, or "" */
const char *dr__ssh_reason(dr_ssh_session *session);

dr_ssh_link *dr__ssh_link_new(void);
void dr__ssh_link_unref(dr_ssh_link *link);                        /* with the lock held */
void dr__ssh_link_set(dr_ssh_link *link, dr_ssh_link_state state); /* with the lock held; wakes */

/* Adds what ended the stream through the jump host, if anything did, to session->err, as its cause.
 */
void dr__ssh_link_cause(dr_ssh_session *session);

/* --------------------------------------------------------- turns.c; all on the session's thread */

/* Waits for the right to set up a connection, the deadline standing still meanwhile; or gives it
 * back: all of it, or only that towards the pool, not that towards the address. */
int dr__ssh_token_take(dr_ssh_session *session);
void dr__ssh_token_give(dr_ssh_session *session);
void dr__ssh_token_yield(dr_ssh_session *session);

/* Says where the session connects to, and waits until it may do so there too. */
int dr__ssh_token_at(dr_ssh_session *session, const char *name);

/* What is silent since that time gives its right to others after a while: it takes it again when it
 * has something to do. Milliseconds until then; -1: it has nothing to give any more. */
int dr__ssh_token_patience(dr_ssh_session *session, uint64_t since);

/* Notes that a connection to the session's address came about, and that somebody logged in. */
void dr__ssh_place_reached(dr_ssh_session *session);
void dr__ssh_place_answered(dr_ssh_session *session);

/* True where others were let in, or are just being: a refusal may be meant for how many there are.
 */
bool dr__ssh_place_lets_in(dr_ssh_session *session);

/* True where somebody logged in a moment ago: who is turned away now meets a limit. */
bool dr__ssh_place_is_limited(dr_ssh_session *session);

/* Notes that such an address turned the session away. Milliseconds until it may try again. */
uint64_t dr__ssh_place_pause(dr_ssh_session *session);

#define DR_SSH_LIMITED_HINT                                                                        \
  "it let somebody in a moment ago: if it is still up, a firewall there limits how many "          \
  "connections may begin in a time (ufw limit, hashlimit, fail2ban). Allow this machine there, "   \
  "or let fewer begin at once (limit = … of parallel and of groups)"

void dr__ssh_places_free(dr_ssh_place *places);

/* ------------------------------------------------------------ connecting */

/* tcp.c: makes session->fd, by TCP, ProxyCommand or the jump host. Returns DR_OK, or DR_FAILED with
 * session->err. */
int dr__ssh_socket(dr_ssh_session *session);
void dr__ssh_quick_ack(dr_ssh_session *session);
void dr__ssh_proxy_end(dr_ssh_session *session);

/* connect.c: the whole way from nothing to a login, and back. */
int dr__ssh_connect(dr_ssh_session *session);
void dr__ssh_disconnect(dr_ssh_session *session);

/* hostkey.c: known_hosts. */
typedef struct dr_ssh_known_key {
  struct dr_ssh_known_key *next;
  ssh_key key;
  bool revoked;
  bool authority; /* @cert-authority: signs host certificates, is no key of the host itself */
  bool portless;  /* of the name without the port, where the port is not 22 */
  char *file;
  unsigned line;
} dr_ssh_known_key;

/* The keys that the files know for a host, in the order of the files; to be freed in any case.
 * DR_FAILED when memory is short: the keys found by then are no ground for calling a host unknown.
 */
int dr__ssh_known_keys(const dr_ssh_config *config, dr_ssh_known_key **out);
void dr__ssh_known_keys_free(dr_ssh_known_key *known);

/* The host key algorithms to ask the server for, those of known keys first, in buffer. */
void dr__ssh_host_key_order(const dr_ssh_known_key *keys, char *buffer, size_t size);

/* Checks the server's key once the key exchange is done; asks about an unknown one. */
int dr__ssh_host_key_check(dr_ssh_session *session, const dr_ssh_known_key *known);

/* auth.c: logs in. */
int dr__ssh_login(dr_ssh_session *session);

/* keys.c: reads a private key, asking for its passphrase when `ask`. */
typedef enum dr_ssh_key_result {
  DR_SSH_KEY_OK,
  DR_SSH_KEY_MISSING,
  DR_SSH_KEY_UNUSABLE, /* unreadable, too open, not a key */
  DR_SSH_KEY_LOCKED,   /* needs a passphrase that was not asked for or not given */
  DR_SSH_KEY_STOPPED   /* session->err is filled */
} dr_ssh_key_result;

dr_ssh_key_result dr__ssh_key_load(dr_ssh_session *session, const char *path, bool ask,
                                   ssh_key *out, char *why, size_t why_size);
void dr__ssh_keys_free(dr_ssh_cached_key *keys);

/* agent.c: the keys of an ssh-agent. */
typedef struct dr_ssh_agent_key {
  ssh_key key;
  unsigned char *blob;
  size_t length;
} dr_ssh_agent_key;

typedef struct dr_ssh_agent_keys {
  dr_ssh_agent_key *items;
  size_t count;
} dr_ssh_agent_keys;

/* Lists the keys; none when there is no agent. Returns DR_OK, or DR_FAILED with session->err when
 * stopped. */
int dr__ssh_agent_list(dr_ssh_session *session, dr_ssh_agent_keys *out);
void dr__ssh_agent_keys_clear(dr_ssh_agent_keys *keys);

/* Gives libssh an agent that knows only these keys, in this order. The relay ends with
 * dr__ssh_agent_end(). */
typedef struct dr_ssh_agent_relay dr_ssh_agent_relay;
int dr__ssh_agent_begin(dr_ssh_session *session, const dr_ssh_agent_keys *keys,
                        dr_ssh_agent_relay **out);
void dr__ssh_agent_end(dr_ssh_agent_relay *relay);

/* ------------------------------------------------------------ channel.c */

typedef enum dr_ssh_channel_kind {
  DR_SSH_COMMAND,        /* output goes to callbacks */
  DR_SSH_STREAM_COMMAND, /* these three carry fd */
  DR_SSH_STREAM_TCP,
  DR_SSH_STREAM_UNIX
} dr_ssh_channel_kind;

typedef enum dr_ssh_phase {
  DR_SSH_NEW,
  DR_SSH_OPENING,
  DR_SSH_PTY,
  DR_SSH_EXEC,
  DR_SSH_RUNNING,
  DR_SSH_OVER
} dr_ssh_phase;

typedef struct dr_ssh_chunk {
  struct dr_ssh_chunk *next;
  int stream;
  size_t length, room;
  char bytes[];
} dr_ssh_chunk;

struct dr_ssh_channel {
  dr_ssh_news news;

  /* fixed before it is handed to a session */
  dr_ssh_channel_kind kind;
  dr_ssh_pool *pool;
  char *command; /* COMMAND, STREAM_COMMAND */
  char *line;    /* the command as the login shell is given it; made when it is opened */
  char *host;    /* TCP; UNIX: the path */
  int port;
  bool pty;
  bool connect_only; /* it is over when it is open, and leaves the open channel to the next */
  bool hold_input;   /* its standard input ends only when it is cancelled */
  char *input;
  size_t input_length;
  bool secret_first;    /* a stream's input is a secret, which goes before what its client says */
  dr_exec_files *files; /* the session's thread's until finished; or NULL */
  uint64_t
      mark; /* by which the command's processes are found, where signals are not passed on; or 0 */

  /* the loop's thread only */
  dr_ssh_transport *transport; /* referenced */
  dr_ssh_session *session;     /* it was handed to; may be gone once the channel is finished */
  int attempts;
  bool background; /* nobody waits for it */
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  void (*on_exit)(void *data, dr_exec_exit *how);
  void *data;

  /* under the pool's lock */
  dr_ssh_channel *next; /* in an inbox, then in the session's list */
  bool in_inbox;
  dr_ssh_chunk *chunks, *last_chunk;
  size_t held; /* bytes in chunks */
  bool cancel;
  bool started; /* the server may have begun the command */
  bool finished;
  dr_ssh_link *link; /* of the session that this stream carries, or NULL */
  dr_exec_exit how;

  /* the session's thread only, until finished */
  dr_ssh_phase phase;
  int fd;                 /* of a stream */
  uint64_t moved_ms;      /* when bytes last came over a stream; 0: none yet */
  bool stalled;           /* output is waiting in libssh because the loop is behind */
  bool fetching;          /* that output is being taken from libssh */
  short fd_wants, fd_has; /* poll events of fd */
  bool framed;            /* the command's output begins behind a mark */
  size_t mark_seen;       /* bytes of it that have come */
  char noise[160];        /* the beginning of what came before it */
  char said[256];         /* the end of what a stream's command wrote to standard error */
  size_t taken;           /* bytes of the first chunk that fd has taken */
  ssh_channel ssh;
  struct ssh_channel_callbacks_struct callbacks;
  size_t input_sent;
  char *block;      /* of the file that is being sent: input, once what came before it is sent */
  bool feeding;     /* more input is to come from files */
  bool hungry;      /* it could be sent at once, after a look at what arrived */
  bool input_ended; /* end of file was sent */
  bool remote_eof, remote_closed, output_ended;
  int status; /* -1 until known */
  char signal[16];
  unsigned refusals;    /* to open it, in a row */
  uint64_t lacking_ms;  /* until when it waits for locks and idle tunnels to end; 0: it does not */
  uint64_t deadline_ms; /* of opening, then of what cancelling does next; 0: none */
  int cancel_step;
};

/* A channel for the transport (a new reference to it); NULL when memory is short. Loop's thread. */
dr_ssh_channel *dr__ssh_channel_new(dr_ssh_transport *transport, dr_ssh_channel_kind kind);

/* Frees a channel that was never submitted, or is over. */
void dr__ssh_channel_free(dr_ssh_channel *channel);

/* Asks a channel to end; on_exit follows. Loop's thread. */
void dr__ssh_channel_cancel(dr_ssh_channel *channel);

/* Ends a channel with an error (moved from), or, when err is NULL, with what is in channel->how.
 * With the lock held. The channel belongs to the loop afterwards. */
void dr__ssh_channel_finish(dr_ssh_channel *channel, dr_err *err);

/* Goes as far as it can without waiting. True when the channel is over and out of the thread's
 * hands. */
bool dr__ssh_channel_step(dr_ssh_session *session, dr_ssh_channel *channel, uint64_t now);

/* Lets go of the libssh channel, closing it towards the server as soon as that is possible. */
void dr__ssh_channel_drop(dr_ssh_session *session, dr_ssh_channel *channel);

/* Goes on closing libssh channels that are over. */
void dr__ssh_channels_close(dr_ssh_session *session);

/* When the connection is gone: the error for a channel that was on it. */
void dr__ssh_channel_lost(dr_ssh_session *session, dr_ssh_channel *channel, dr_err *err);

/* room.c: true for what needs a session channel. */
bool dr__ssh_is_command(const dr_ssh_channel *channel);

/* True when a new channel may be opened now, or a spare one be taken. */
bool dr__ssh_room_may_open(dr_ssh_session *session, dr_ssh_channel *channel, uint64_t now);

/* Makes a channel that the server refused wait for its turn; false when there is no use in it. */
bool dr__ssh_room_wait(dr_ssh_session *session, dr_ssh_channel *channel, uint64_t now);

/* True when the channel waits because as many run as the server allows; what they are, in `why`. */
bool dr__ssh_room_is_full(const dr_ssh_session *session, const dr_ssh_channel *channel, char *why,
                          size_t size);

/* True, with err, when it has waited in vain because all of those are held by locks and idle
 * tunnels. */
bool dr__ssh_room_lacks(const dr_ssh_session *session, dr_ssh_channel *channel, uint64_t now,
                        dr_err *err);

/* stream.c: one turn of the pump between fd and an open channel; true when the stream is over. */
bool dr__ssh_stream_step(dr_ssh_session *session, dr_ssh_channel *channel);

/* Takes what the server sent on a stream; the number of bytes taken. Called from libssh. */
size_t dr__ssh_stream_data(dr_ssh_channel *channel, const char *bytes, size_t length,
                           bool is_stderr);

/* Sends the input, then the end of file, as far as the server takes it now. */
void dr__ssh_channel_write(dr_ssh_session *session, dr_ssh_channel *channel, bool last);

/* True when libssh has nothing waiting to be sent, so that writing more keeps memory bounded. */
bool dr__ssh_may_write(dr_ssh_session *session);

/* ------------------------------------------------------------ transport.c */

struct dr_ssh_transport {
  dr_transport base;
  dr_ssh_pool *pool;
  dr_ssh_config *config;
  dr_transport *jump;      /* referenced; or NULL */
  dr_ssh_session *session; /* the present connection, or NULL */
};

/* Hands a channel to the transport's connection, making one when there is none. Loop's thread. */
int dr__ssh_submit(dr_ssh_channel *channel, dr_err *err);

/* shell.c: makes channel->line, the command for a login shell of any kind; false when memory is
 * short. */
bool dr__ssh_shell_prepare(dr_ssh_channel *channel);

/* How many of these bytes of a command's standard output came before the command began. */
size_t dr__ssh_shell_noise(dr_ssh_channel *channel, const char *bytes, size_t length);

/* False when the command should have said by now that it began. */
bool dr__ssh_shell_began(const dr_ssh_channel *channel);

/* The error for a login shell that has ended and did not. */
void dr__ssh_shell_failed(const dr_ssh_session *session, dr_ssh_channel *channel, dr_err *err);

/* kill.c: whether the server passes no signals on to this user's commands; marks a command so that
 * it can be found; and the command line that ends a marked one, malloc'd. */
bool dr__ssh_needs_kill(const dr_ssh_config *config);
void dr__ssh_mark(dr_ssh_channel *channel);
char *dr__ssh_kill_line(const dr_ssh_channel *channel);

/* tunnel.c: ends a tunnel's streams and socket without freeing it. */
void dr__ssh_tunnels_shut(dr_ssh_pool *pool);

#endif
