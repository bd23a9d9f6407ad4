qproxy_fuzz_target(config_load SOURCES config_load_fuzz.c DEPENDS config base)
