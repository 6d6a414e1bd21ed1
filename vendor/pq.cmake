# libpq: PostgreSQL's own client library, so that its conventions hold (PG* variables, service file, .pgpass, sslmode).
# 14 for pipeline mode, and the oldest that PostgreSQL still maintains; the tests run with 15 (Debian 12). It is loaded when
# a recipe first connects (bindings/postgres/pq_library.c).
deployrun_dependency(pq VERSION 14 PACKAGE libpq-dev MODULES libpq)
