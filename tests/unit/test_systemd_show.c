/* test_systemd_show.c - what systemd says of a unit is read right, and judged right. */
#include "systemd/systemd_show.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dr_unit unit_of(const char *active, const char *sub, long long pid) {
  dr_unit unit = {.name = "app.service", .load = "loaded", .result = "success", .main_pid = pid};
  strncpy(unit.active, active, sizeof unit.active - 1);
  strncpy(unit.sub, sub, sizeof unit.sub - 1);
  return unit;
}

/* ------------------------------------------------------------ reading */

static void records_of_several_units_are_read(void **state) {
  (void)state;
  dr_unit units[2];
  size_t count = dr__systemd_show("MainPID=110\nId=a.service\nActiveState=active\nJob=\n"
                                  "WorkingDirectory=!/home/u\nTimeoutStopUSec=1min 30s\n\n\n"
                                  "Id=b.service\nLoadState=not-found\nJob=220\nLater=thing=1\n\n"
                                  "Id=c.service\n",
                                  units, 2);
  assert_int_equal(count, 3);
  assert_string_equal(units[0].name, "a.service");
  assert_string_equal(units[0].active, "active");
  assert_string_equal(units[0].folder, "/home/u");
  assert_int_equal(units[0].main_pid, 110);
  assert_false(units[0].job);
  assert_true(units[0].stop_timeout == 90);
  assert_string_equal(units[1].load, "not-found");
  assert_true(units[1].job);
}

static void what_is_no_record_is_none(void **state) {
  (void)state;
  dr_unit unit;
  assert_int_equal(dr__systemd_show("", &unit, 1), 0);
  assert_int_equal(dr__systemd_show("\n\n=\nx\nMainPID=1\n", &unit, 1), 0);
  assert_int_equal(dr__systemd_show("-- cursor: s=48;i=4e", &unit, 1), 0);
}

static void time_spans_are_read(void **state) {
  (void)state;
  assert_true(dr__systemd_seconds("1min 30s") == 90);
  assert_true(fabs(dr__systemd_seconds("2h 250ms") - 7200.25) < 1e-9);
  assert_true(dr__systemd_seconds("0") == 0);
  assert_true(isinf(dr__systemd_seconds("infinity")));
  static const char *const none[] = {"", "s", "5", "5 parsecs", "1s2s3", "-1s", "1s,"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_true(dr__systemd_seconds(none[i]) < 0);
}

static void a_name_gets_its_kind(void **state) {
  (void)state;
  char name[256];
  assert_true(dr__systemd_name("gunicorn", name, sizeof name));
  assert_string_equal(name, "gunicorn.service");
  assert_true(dr__systemd_name("app@1.2", name, sizeof name));
  assert_string_equal(name, "app@1.2.service");
  assert_true(dr__systemd_name("backup.timer", name, sizeof name));
  assert_string_equal(name, "backup.timer");
  static const char *const none[] = {"", "-x", "a b", "a;b", "a/b", "*.service", "a\nb"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_false(dr__systemd_name(none[i], name, sizeof name));
}

/* ------------------------------------------------------------ judging */

static void expect(dr_unit_verdict verdict, dr_unit_verb verb, const dr_unit *before,
                   const dr_unit *now) {
  assert_int_equal(dr__unit_judge(verb, before, now), verdict);
}

static void a_restart_is_there_with_a_new_main_process(void **state) {
  (void)state;
  dr_unit before = unit_of("active", "running", 10);
  dr_unit same = before;
  dr_unit fresh = unit_of("active", "running", 11);
  expect(DR_UNIT_WAIT, DR_UNIT_RESTART, &before, &same);
  expect(DR_UNIT_THERE, DR_UNIT_RESTART, &before, &fresh);
  expect(DR_UNIT_THERE, DR_UNIT_START, &before, &same);
  fresh.job = true;
  expect(DR_UNIT_WAIT, DR_UNIT_RESTART, &before, &fresh);
}

static void a_failed_unit_that_is_to_be_started_is_not_judged_before_its_job(void **state) {
  (void)state;
  dr_unit failed = unit_of("failed", "failed", 0);
  dr_unit waiting = failed;
  waiting.job = true;
  expect(DR_UNIT_WAIT, DR_UNIT_START, &failed, &waiting);
  expect(DR_UNIT_FAILED, DR_UNIT_START, &failed, &failed);
}

static void a_unit_that_starts_again_and_again_has_failed(void **state) {
  (void)state;
  dr_unit before = unit_of("inactive", "dead", 0);
  dr_unit again = unit_of("activating", "auto-restart", 0);
  dr_unit first = unit_of("active", "running", 11);
  dr_unit later = unit_of("active", "running", 12);
  expect(DR_UNIT_FAILED, DR_UNIT_START, &before, &again);
  assert_true(dr__unit_stayed(&first, &first));
  assert_false(dr__unit_stayed(&first, &later));
  later = first;
  later.restarts = 1;
  assert_false(dr__unit_stayed(&first, &later));
}

static void what_runs_once_is_finished_when_it_ended_well(void **state) {
  (void)state;
  dr_unit before = unit_of("inactive", "dead", 0);
  dr_unit once = before;
  expect(DR_UNIT_FAILED, DR_UNIT_START, &before, &once);
  strncpy(once.type, "oneshot", sizeof once.type - 1);
  expect(DR_UNIT_FINISHED, DR_UNIT_START, &before, &once);
  strncpy(once.result, "exit-code", sizeof once.result - 1);
  expect(DR_UNIT_FAILED, DR_UNIT_START, &before, &once);
  dr_unit remains = unit_of("active", "exited", 0);
  expect(DR_UNIT_FINISHED, DR_UNIT_START, &before, &remains);
}

static void a_stop_is_finished_however_it_ended(void **state) {
  (void)state;
  dr_unit before = unit_of("active", "running", 10);
  dr_unit stopping = unit_of("deactivating", "stop-sigterm", 10);
  dr_unit killed = unit_of("failed", "failed", 0);
  expect(DR_UNIT_WAIT, DR_UNIT_STOP, &before, &stopping);
  expect(DR_UNIT_FINISHED, DR_UNIT_STOP, &before, &killed);
}

static void a_reload_that_ends_the_unit_or_fails_has_failed(void **state) {
  (void)state;
  dr_unit before = unit_of("active", "running", 10);
  dr_unit dead = unit_of("inactive", "dead", 0);
  dr_unit now = before;
  strncpy(now.reload, "success", sizeof now.reload - 1);
  expect(DR_UNIT_THERE, DR_UNIT_RELOAD, &before, &now);
  strncpy(now.reload, "exit-code", sizeof now.reload - 1);
  expect(DR_UNIT_FAILED, DR_UNIT_RELOAD, &before, &now);
  expect(DR_UNIT_FAILED, DR_UNIT_RELOAD, &before, &dead);
}

/* ------------------------------------------------------------ saying */

static void refusals_have_their_codes(void **state) {
  (void)state;
  static const struct {
    const char *said;
    const char *code;
  } known[] = {
      {"Failed to restart x.service: Unit x.service not found.", "systemd.not_found"},
      {"Failed to start x.service: Unit x.service is masked.", "systemd.masked"},
      {"Failed to restart x.service: Access denied", "systemd.denied"},
      {"Failed to restart x.service: Interactive authentication required.", "systemd.denied"},
      {"System has not been booted with systemd as init system (PID 1).", "systemd.not_running"},
      {"Failed to connect to bus: No medium found", "systemd.not_running"},
      {"Failed to reload x: Job type reload is not applicable for unit x.", "systemd.no_reload"},
      {"Failed to start x: Unit x.service has a bad unit file setting.", "systemd.bad_unit"},
      {"", "systemd.failed"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    dr_err err = DR_ERR_INIT;
    dr__systemd_explain(&err, "x.service", known[i].said);
    assert_string_equal(err.code, known[i].code);
    dr_err_clear(&err);
  }
}

static void reasons_name_what_happened(void **state) {
  (void)state;
  char reason[200];
  const char *hint;
  dr_unit unit = unit_of("failed", "failed", 0);
  unit.code = 1;
  unit.status = 203;
  dr__unit_reason(&unit, reason, sizeof reason, &hint);
  assert_non_null(strstr(reason, "203/EXEC"));
  assert_true(hint[0]);
  unit.status = 3;
  dr__unit_reason(&unit, reason, sizeof reason, &hint);
  assert_non_null(strstr(reason, "status 3"));
  strncpy(unit.result, "start-limit-hit", sizeof unit.result - 1);
  dr__unit_reason(&unit, reason, sizeof reason, &hint);
  assert_non_null(strstr(reason, "too often"));
  assert_null(dr__app_hint("all is well"));
  assert_non_null(strstr(dr__app_hint("OperationalError: no such table: x"), "migrat"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_of_several_units_are_read),
      cmocka_unit_test(what_is_no_record_is_none),
      cmocka_unit_test(time_spans_are_read),
      cmocka_unit_test(a_name_gets_its_kind),
      cmocka_unit_test(a_restart_is_there_with_a_new_main_process),
      cmocka_unit_test(a_failed_unit_that_is_to_be_started_is_not_judged_before_its_job),
      cmocka_unit_test(a_unit_that_starts_again_and_again_has_failed),
      cmocka_unit_test(what_runs_once_is_finished_when_it_ended_well),
      cmocka_unit_test(a_stop_is_finished_however_it_ended),
      cmocka_unit_test(a_reload_that_ends_the_unit_or_fails_has_failed),
      cmocka_unit_test(refusals_have_their_codes),
      cmocka_unit_test(reasons_name_what_happened),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
