qproxy_fuzz_target(token_answer SOURCES token_answer_fuzz.c DEPENDS token)
qproxy_fuzz_target(vault SOURCES vault_fuzz.c DEPENDS token)
