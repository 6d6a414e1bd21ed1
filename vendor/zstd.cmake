# zstd: compresses backups on their way.
# 1.4.0 for ZSTD_compressStream2 and ZSTD_CCtx_setParameter, stable since then.
deployrun_dependency(zstd VERSION 1.4.0 PACKAGE libzstd-dev MODULES libzstd)
