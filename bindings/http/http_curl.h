/* http_curl.h - libcurl, loaded when the first request is due and not before: it brings some thirty
 * other libraries, and to load them takes longer than all else a start does (measured: 5 ms of 12).
 * Included in place of <curl/curl.h>; libcurl's functions are called by their usual names. Any
 * thread.
 */
#ifndef DR_HTTP_CURL_H
#define DR_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK /* its macros would name the functions themselves */
#include <curl/curl.h>
#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

#include <deployrun.h>

#define DR_CURL_FUNCTIONS(X)                                                                       \
  X(curl_easy_cleanup)                                                                             \
  X(curl_easy_getinfo)                                                                             \
  X(curl_easy_init)                                                                                \
  X(curl_easy_setopt)                                                                              \
  X(curl_easy_strerror)                                                                            \
  X(curl_free)                                                                                     \
  X(curl_global_cleanup)                                                                           \
  X(curl_global_init)                                                                              \
  X(curl_multi_add_handle)                                                                         \
  X(curl_multi_assign)                                                                             \
  X(curl_multi_cleanup)                                                                            \
  X(curl_multi_info_read)                                                                          \
  X(curl_multi_init)                                                                               \
  X(curl_multi_remove_handle)                                                                      \
  X(curl_multi_setopt)                                                                             \
  X(curl_multi_socket_action)                                                                      \
  X(curl_multi_timeout)                                                                            \
  X(curl_slist_append)                                                                             \
  X(curl_slist_free_all)                                                                           \
  X(curl_url)                                                                                      \
  X(curl_url_cleanup)                                                                              \
  X(curl_url_get)                                                                                  \
  X(curl_url_set)                                                                                  \
  X(curl_url_strerror)

typedef struct dr_curl {
#define X(name) __typeof__(&(name)) name##_;
  DR_CURL_FUNCTIONS(X)
#undef X
} dr_curl;

/* Filled by dr__curl_load(). */
extern dr_curl dr__curl;

/* Loads the library unless it is loaded. Returns 0, or DR_FAILED with err filled (http.setup). */
int dr__curl_load(dr_err *err);

#define curl_easy_cleanup dr__curl.curl_easy_cleanup_
#define curl_easy_getinfo dr__curl.curl_easy_getinfo_
#define curl_easy_init dr__curl.curl_easy_init_
#define curl_easy_setopt dr__curl.curl_easy_setopt_
#define curl_easy_strerror dr__curl.curl_easy_strerror_
#define curl_free dr__curl.curl_free_
#define curl_global_cleanup dr__curl.curl_global_cleanup_
#define curl_global_init dr__curl.curl_global_init_
#define curl_multi_add_handle dr__curl.curl_multi_add_handle_
#define curl_multi_assign dr__curl.curl_multi_assign_
#define curl_multi_cleanup dr__curl.curl_multi_cleanup_
#define curl_multi_info_read dr__curl.curl_multi_info_read_
#define curl_multi_init dr__curl.curl_multi_init_
#define curl_multi_remove_handle dr__curl.curl_multi_remove_handle_
#define curl_multi_setopt dr__curl.curl_multi_setopt_
#define curl_multi_socket_action dr__curl.curl_multi_socket_action_
#define curl_multi_timeout dr__curl.curl_multi_timeout_
#define curl_slist_append dr__curl.curl_slist_append_
#define curl_slist_free_all dr__curl.curl_slist_free_all_
#define curl_url dr__curl.curl_url_
#define curl_url_cleanup dr__curl.curl_url_cleanup_
#define curl_url_get dr__curl.curl_url_get_
#define curl_url_set dr__curl.curl_url_set_
#define curl_url_strerror dr__curl.curl_url_strerror_

#endif
