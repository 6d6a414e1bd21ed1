# libcurl: HTTP, also over unix sockets (Docker Engine API).
# 7.85 for CURLOPT_PROTOCOLS_STR and CURLOPT_REDIR_PROTOCOLS_STR, which keep a redirect from leaving HTTP; the older
# options of that purpose are deprecated, and a deprecation is an error in this build.
deployrun_dependency(curl VERSION 7.85 PACKAGE libcurl4-openssl-dev MODULES libcurl)
