# cmocka: the C unit tests, nothing that is installed.
# 1.1.5 is the oldest the tests run with (Debian 12 and every distribution still supported).
deployrun_dependency(cmocka VERSION 1.1.5 PACKAGE libcmocka-dev MODULES cmocka)
