# libuv: the event loop, child processes, timers, worker threads.
# 1.44 is the oldest the tests run with (Debian 12).
deployrun_dependency(uv VERSION 1.44 PACKAGE libuv1-dev MODULES libuv)
