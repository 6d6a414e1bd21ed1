/* http_curl.c - libcurl, loaded when it is first needed. Owns the table of its functions. Called by
 * http_client.c; any thread.
 */
#include "http_curl.h"

#include "library.h"

dr_curl dr__curl;

static const char *const names[] = {
#define X(name) #name,
    DR_CURL_FUNCTIONS(X)
#undef X
        NULL};

static dr_library library = {
    .file = "libcurl.so.4", /* since 2006 */
    .names = names,
    .table = &dr__curl,
    .code = "http.setup",
    .hint = "install it (Debian package libcurl4, version 7.85 or later)",
};

int dr__curl_load(dr_err *err) {
  return dr__library_load(&library, err);
}
