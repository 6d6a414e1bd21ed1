# jansson: JSON values, reading and writing.
# 2.14 for keys with a length (json_object_getn and its kin), so that a NUL in a key can neither cut nor hide it.
deployrun_dependency(jansson VERSION 2.14 PACKAGE libjansson-dev MODULES jansson)
