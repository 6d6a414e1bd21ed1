/* sha256.c - SHA-256 by libcrypto, which uses the processor's own instructions for it.
 *
 * By its plain functions and not by EVP: EVP's first use reads libcrypto's configuration (several
 * milliseconds at the start of a run), allocates, and crashes when memory is short just then. The
 * plain ones do nothing but hash. OpenSSL calls them deprecated, in favour of EVP's choice of
 * providers; they are part of its interface all the same.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256.h"

void dr__sha256_init(dr_sha256 *hash) {
  SHA256_Init(&hash->context);
}

void dr__sha256_add(dr_sha256 *hash, const void *bytes, size_t length) {
  SHA256_Update(&hash->context, bytes, length);
}

void dr__sha256_hex(dr_sha256 *hash, char hex[65]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char sum[SHA256_DIGEST_LENGTH];
  SHA256_Final(sum, &hash->context);
  for (size_t i = 0; i < sizeof sum; i++) {
    hex[2 * i] = digits[sum[i] >> 4];
    hex[2 * i + 1] = digits[sum[i] & 15];
  }
  hex[64] = '\0';
}

void dr__sha256_of(const void *bytes, size_t length, char hex[65]) {
  dr_sha256 hash;
  dr__sha256_init(&hash);
  dr__sha256_add(&hash, bytes, length);
  dr__sha256_hex(&hash, hex);
}
