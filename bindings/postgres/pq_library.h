/* pq_library.h - libpq, loaded when a recipe first speaks to a database and not before: it brings
 * some twenty other libraries. Included in place of <libpq-fe.h>; its functions are called as
 * pq(NAME), without their PQ. Any thread. */
#ifndef DR_PQ_LIBRARY_H
#define DR_PQ_LIBRARY_H

#include <libpq-fe.h>

#include <deployrun.h>

#define DR_PQ_FUNCTIONS(X)                                                                         \
  X(PQbackendPID)                                                                                  \
  X(PQcancel)                                                                                      \
  X(PQclear)                                                                                       \
  X(PQcmdStatus)                                                                                   \
  X(PQcmdTuples)                                                                                   \
  X(PQconnectPoll)                                                                                 \
  X(PQconnectStartParams)                                                                          \
  X(PQconninfo)                                                                                    \
  X(PQconninfoFree)                                                                                \
  X(PQconninfoParse)                                                                               \
  X(PQconsumeInput)                                                                                \
  X(PQerrorMessage)                                                                                \
  X(PQescapeIdentifier)                                                                            \
  X(PQescapeLiteral)                                                                               \
  X(PQfinish)                                                                                      \
  X(PQflush)                                                                                       \
  X(PQfname)                                                                                       \
  X(PQfreeCancel)                                                                                  \
  X(PQfreemem)                                                                                     \
  X(PQftype)                                                                                       \
  X(PQgetCancel)                                                                                   \
  X(PQgetResult)                                                                                   \
  X(PQgetisnull)                                                                                   \
  X(PQgetlength)                                                                                   \
  X(PQgetvalue)                                                                                    \
  X(PQhost)                                                                                        \
  X(PQhostaddr)                                                                                    \
  X(PQisBusy)                                                                                      \
  X(PQnfields)                                                                                     \
  X(PQparameterStatus)                                                                             \
  X(PQpass)                                                                                        \
  X(PQport)                                                                                        \
  X(PQresultErrorField)                                                                            \
  X(PQresultErrorMessage)                                                                          \
  X(PQresultStatus)                                                                                \
  X(PQsendQuery)                                                                                   \
  X(PQsendQueryParams)                                                                             \
  X(PQserverVersion)                                                                               \
  X(PQsetErrorVerbosity)                                                                           \
  X(PQsetNoticeReceiver)                                                                           \
  X(PQsetSingleRowMode)                                                                            \
  X(PQsetnonblocking)                                                                              \
  X(PQsocket)                                                                                      \
  X(PQstatus)                                                                                      \
  X(PQtransactionStatus)

typedef struct dr_pq {
#define X(name) __typeof__(&(name)) name##_;
  DR_PQ_FUNCTIONS(X)
#undef X
} dr_pq;

/* Filled by dr__pq_load(). */
extern dr_pq dr__pq;

#define pq(name) (dr__pq.PQ##name##_)

/* Loads the library unless it is loaded. Returns 0, or DR_FAILED with err filled (postgres.setup).
 */
int dr__pq_load(dr_err *err);

#endif
