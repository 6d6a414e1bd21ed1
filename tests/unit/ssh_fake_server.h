/* ssh_fake_server.h - an SSH server that stops answering at a chosen point, for the faults that no
 * real server can be brought to show. Made with libssh's server side; one thread, one connection at
 * a time. */
#ifndef SSH_FAKE_SERVER_H
#define SSH_FAKE_SERVER_H

typedef enum fake_point {
  FAKE_SILENT_LOGIN, /* key exchange, then nothing */
  FAKE_SILENT_OPEN,  /* login, then no answer to channels */
  FAKE_SILENT_EXEC,  /* a channel, then no answer to the command */
  FAKE_NO_STATUS,    /* runs the command: some output, then closes without a status */
  FAKE_DENY,         /* refuses the command */
  FAKE_PASSWORD,     /* takes the password "open sesame" only, and runs commands: they print "in" */
  FAKE_INTERACTIVE   /* asks "Password: " and "Code: ", wants "open sesame" and "open sesame" */
} fake_point;

typedef struct fake_server fake_server;

/* Starts a server with this host key file on 127.0.0.1; *port is where. Accepts any key. */
fake_server *fake_server_start(fake_point point, const char *host_key, int *port);
void fake_server_stop(fake_server *server);

#endif
