qproxy_fuzz_target(http_parse SOURCES http_parse_fuzz.c ../unit/http/transcript.c DEPENDS http)
qproxy_fuzz_target(http_framing SOURCES http_framing_fuzz.c DEPENDS http)
qproxy_fuzz_target(http_uri SOURCES http_uri_fuzz.c DEPENDS http)
