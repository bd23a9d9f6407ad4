# Two kinds of flags. Those for everything that is compiled here, third-party libraries too (sanitizers, hardening,
# LTO, reproducibility), are global. Those for our own code only (the warnings) are given by qproxy_own_code().

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# What each build type means, the same for gcc and clang. NDEBUG has no meaning for us: contracts follow QP_DEBUG.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEBUG "-O1 -g3 -fno-omit-frame-pointer" CACHE STRING "" FORCE)

include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# A binary must not tell where it was built, nor when. There is no timestamp anywhere: -Wdate-time keeps it so.
# (gcov is the exception: it must find the sources again. With LTO it is the linker that writes the debug information.)
if(NOT QPROXY_COVERAGE)
    set(prefix_maps "-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=./build"
        "-ffile-prefix-map=${QPROXY_CACHE}=./third_party/cache")
    add_compile_options(${prefix_maps})
    if(QPROXY_LTO)
        add_link_options(${prefix_maps})
    endif()
endif()
add_compile_options(-fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections -Wl,--as-needed)

if(QPROXY_SANITIZE)
    add_compile_options(-fsanitize=${QPROXY_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${QPROXY_SANITIZE})
endif()
if(QPROXY_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
        message(FATAL_ERROR "QPROXY_FUZZ needs clang (libFuzzer): use the preset fuzz")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(QPROXY_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()
if(QPROXY_HARDEN)
    # -U first: some distributions' compilers define another level themselves.
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        add_compile_options(-fcf-protection)
    endif()
endif()
if(QPROXY_LTO)
    include(CheckIPOSupported)
    check_ipo_supported()
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
# Only libc may be dynamic: what gcc itself needs comes from the static libgcc.
add_link_options(-static-libgcc)

set(QPROXY_WARNINGS
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wswitch-enum -Wvla -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef
    -Wdate-time -Wimplicit-fallthrough
    # Callbacks of libuv, llhttp and cmocka have parameters that a given callback does not need.
    -Wno-unused-parameter
    # {0} is the way to an empty struct in C11; both compilers would want every member named.
    -Wno-missing-field-initializers)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND QPROXY_WARNINGS -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
else()
    # {0} again: clang 14 wants braces around each nested struct.
    list(APPEND QPROXY_WARNINGS -Wno-missing-braces)
endif()
if(QPROXY_WERROR)
    list(APPEND QPROXY_WARNINGS -Werror)
endif()

# Our own code: strict warnings, and includes that always start at proxy/ ("base/slice.h").
function(qproxy_own_code target)
    target_compile_options(${target} PRIVATE ${QPROXY_WARNINGS})
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    if(QPROXY_DEBUG)
        target_compile_definitions(${target} PRIVATE QP_DEBUG=1)
    endif()
    target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}/proxy" "${QPROXY_GENERATED}")
    add_dependencies(${target} qp_version)
endfunction()
