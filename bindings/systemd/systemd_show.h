/* systemd_show.h - what systemd says of a unit, and what that means for something asked of it.
 * Pure C, any thread; the text comes from `systemctl show --property=…`. */
#ifndef DR_SYSTEMD_SHOW_H
#define DR_SYSTEMD_SHOW_H

#include <deployrun.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The properties that are asked for, as --property takes them. */
extern const char dr__systemd_properties[];

/* One unit. Text fields are cut to their size. */
typedef struct dr_unit {
  char name[256];   /* "gunicorn.service" */
  char load[16];    /* "loaded", "not-found", "masked", "error", "bad-setting" */
  char active[16];  /* "active", "inactive", "failed", "activating", "deactivating", "reloading" */
  char sub[32];     /* "running", "exited", "dead", "auto-restart" … */
  char result[32];  /* "success", "exit-code", "signal", "timeout", "start-limit-hit" … */
  char reload[32];  /* the same of its last reload */
  char type[16];    /* "simple", "notify", "oneshot" …; "" for what is no service */
  char enabled[24]; /* "enabled", "disabled", "static" …; "" when it has no file */
  char since[64];   /* when it became active, as systemd writes it */
  char file[256];   /* its unit file */
  char folder[256]; /* its WorkingDirectory */
  long long main_pid;
  long long restarts; /* how often systemd started it again by itself */
  int code;           /* of the last main process: 0, or CLD_EXITED (1), CLD_KILLED (2) … */
  int status;         /* its exit status or signal */
  bool job;           /* something asked of it is not done yet */
  bool can_reload;
  bool remains;         /* RemainAfterExit */
  bool file_changed;    /* its file is not what systemd has read */
  double start_timeout; /* seconds; HUGE_VAL: none */
  double stop_timeout;  /* likewise */
} dr_unit;

/* Reads the records of `systemctl show`, one a unit, an empty line between two. Fills at most
 * `size` units and returns how many there were. What is unknown or missing is passed over; a unit
 * without its Id is none. */
size_t dr__systemd_show(const char *text, dr_unit *units, size_t size);

/* "1min 30s", "250ms", "infinity" in seconds; negative when it is no time span. */
double dr__systemd_seconds(const char *text);

/* The name with its kind: "gunicorn" is "gunicorn.service". False when it is no unit's name. */
bool dr__systemd_name(const char *name, char *out, size_t size);

/* What a recipe gets; new reference, NULL when memory is short. */
json_t *dr__unit_json(const dr_unit *unit);

typedef enum dr_unit_verb {
  DR_UNIT_START,
  DR_UNIT_STOP,
  DR_UNIT_RESTART,
  DR_UNIT_RELOAD
} dr_unit_verb;

typedef enum dr_unit_verdict {
  DR_UNIT_WAIT,     /* not there yet */
  DR_UNIT_THERE,    /* as asked; a unit that runs must still prove that it stays */
  DR_UNIT_FINISHED, /* as asked, and there is nothing that could still end */
  DR_UNIT_FAILED    /* it will not get there */
} dr_unit_verdict;

/* What `now` means after the verb was asked of a unit that was as `before` is. */
dr_unit_verdict dr__unit_judge(dr_unit_verb verb, const dr_unit *before, const dr_unit *now);

/* True when a unit that was seen running as `first` is still that one. */
bool dr__unit_stayed(const dr_unit *first, const dr_unit *now);

/* Seconds systemd itself may take for the verb, before it gives up or kills. */
double dr__unit_patience(dr_unit_verb verb, const dr_unit *unit);

/* Why it is not as it should be, in a sentence without subject ("exited with status 3"), and what
 * to do; the hint may be "". */
void dr__unit_reason(const dr_unit *unit, char *reason, size_t size, const char **hint);

/* What a known failure in an app's output means, or NULL. */
const char *dr__app_hint(const char *text);

/* What systemctl or the D-Bus said, as an error: systemd.not_found, .masked, .denied, .not_running,
 * .no_reload, .bad_unit, .failed. */
void dr__systemd_explain(dr_err *err, const char *unit, const char *said);

#endif
