qproxy_fuzz_target(links SOURCES links_fuzz.c DEPENDS relay)
qproxy_fuzz_target(rewrite SOURCES rewrite_fuzz.c DEPENDS relay)
