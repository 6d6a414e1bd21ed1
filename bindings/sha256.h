/* sha256.h - SHA-256 of bytes that come in pieces. Any thread; allocates nothing. See sha256.c. */
#ifndef DR_SHA256_H
#define DR_SHA256_H

#include <openssl/sha.h>
#include <stddef.h>

typedef struct dr_sha256 {
  SHA256_CTX context;
} dr_sha256;

void dr__sha256_init(dr_sha256 *hash);
void dr__sha256_add(dr_sha256 *hash, const void *bytes, size_t length);

/* Ends the hash and writes its 64 hexadecimal digits and a NUL. */
void dr__sha256_hex(dr_sha256 *hash, char hex[65]);

/* All at once. */
void dr__sha256_of(const void *bytes, size_t length, char hex[65]);

#endif
