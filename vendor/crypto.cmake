# OpenSSL's libcrypto: SHA-256 of files and recipes.
# 3.0 is the oldest series that still gets fixes, and the first under the Apache licence. libssh and libcurl use it
# too, so it costs no further library at run time.
deployrun_dependency(crypto VERSION 3.0 PACKAGE libssl-dev MODULES libcrypto)
