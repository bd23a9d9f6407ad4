# -DQPROXY_SYSTEM_LIBS=ON: the system's libraries, for packagers. Each is looked for and its version checked, and all
# that is missing or too old is named at once. The system's mbedTLS keeps its own configuration.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
set(troubles "")

# system(<name> <least version> <pkg-config module>...): third_party::<name> from the modules, the first one's version.
function(system name least)
    list(GET ARGN 0 module)
    pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${ARGN})
    set(have "${${name}_${module}_VERSION}")
    if(NOT have)
        set(have "${${name}_VERSION}") # with one module pkg-config's variables have no module in their name
    endif()
    if(NOT ${name}_FOUND)
        set(trouble "${module} is not there (pkg-config knows no ${ARGN}); at least ${least} is needed")
    elseif(have VERSION_LESS least)
        set(trouble "${module} ${have} is too old; at least ${least} is needed")
    else()
        message(STATUS "third_party: the system's ${module} ${have}")
        add_library(third_party::${name} ALIAS PkgConfig::${name})
        return()
    endif()
    set(troubles "${troubles}\n  ${trouble}" PARENT_SCOPE)
endfunction()

system(uv 1.44 libuv)
system(llhttp 9.2.1 libllhttp)
system(mbedtls 3.6.4 mbedtls mbedx509 mbedcrypto)
system(cjson 1.7.18 libcjson)
if(troubles)
    message(FATAL_ERROR "QPROXY_SYSTEM_LIBS:${troubles}\n"
        "Without -DQPROXY_SYSTEM_LIBS=ON the libraries are obtained and built here.")
endif()

# 4.x took away interfaces that we use, and TLS must have been compiled for more than one thread.
if(mbedtls_mbedtls_VERSION VERSION_GREATER_EQUAL 4)
    message(FATAL_ERROR "QPROXY_SYSTEM_LIBS: mbedTLS ${mbedtls_mbedtls_VERSION} is too new; the line 3.6 is needed")
endif()
include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES third_party::mbedtls)
check_c_source_compiles("
    #include <mbedtls/build_info.h>
    #if !defined(MBEDTLS_THREADING_PTHREAD) || !defined(MBEDTLS_SSL_PROTO_TLS1_3) || !defined(MBEDTLS_SSL_TICKET_C)
    #error no
    #endif
    int main(void) { return 0; }" QPROXY_SYSTEM_MBEDTLS_FIT)
if(NOT QPROXY_SYSTEM_MBEDTLS_FIT)
    message(FATAL_ERROR "QPROXY_SYSTEM_LIBS: the system's mbedTLS lacks MBEDTLS_THREADING_PTHREAD, TLS 1.3 or "
        "MBEDTLS_SSL_TICKET_C; build it with them, or leave QPROXY_SYSTEM_LIBS off")
endif()
