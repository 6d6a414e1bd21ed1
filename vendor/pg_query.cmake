# libpg_query: PostgreSQL's own SQL parser, to split migrations into statements and to know what they lock and rewrite.
# 15, the parser of PostgreSQL 15 (PG_VERSION_NUM says which): earlier ones do not know MERGE or UNIQUE NULLS NOT
# DISTINCT. Linked statically where there is an archive: Debian brings the shared library with the headers only, so a
# program that needed it would need them too.
deployrun_header_dependency(pg_query VERSION 150000 PACKAGE libpg-query-dev HEADER pg_query.h MACRO PG_VERSION_NUM LIBRARY pg_query)
