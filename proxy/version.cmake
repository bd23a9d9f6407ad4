# "version.h" defines QP_VERSION: 0.1.0 at the tag v0.1.0 or outside a checkout, else 0.1.0+g<short hash>. It is looked
# up at each build (a commit moves it without a configure) and the file is rewritten only when it changed.
# No date is in it, so the same commit gives the same bytes; -Wdate-time forbids __DATE__ elsewhere, and should a
# library use it, both compilers take it from SOURCE_DATE_EPOCH.
if(CMAKE_SCRIPT_MODE_FILE)
    set(version "${VERSION}")
    execute_process(COMMAND git -C "${SOURCE}" rev-parse --show-prefix
        OUTPUT_VARIABLE inside OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND inside STREQUAL "") # else the checkout that this folder lies in is somebody else's
        execute_process(COMMAND git -C "${SOURCE}" describe --tags --exact-match --match "v${VERSION}"
            OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE untagged)
        execute_process(COMMAND git -C "${SOURCE}" rev-parse --short=10 HEAD
            OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
        if(untagged AND NOT failed)
            string(APPEND version "+g${hash}")
        endif()
    endif()
    file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "#pragma once\n#define QP_VERSION \"${version}\"\n")
    return()
endif()

set(QPROXY_GENERATED "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${QPROXY_GENERATED}")
add_custom_target(qp_version
    COMMAND ${CMAKE_COMMAND} -D "SOURCE=${CMAKE_SOURCE_DIR}" -D "VERSION=${PROJECT_VERSION}"
            -D "OUTPUT=${QPROXY_GENERATED}/version.h" -P "${CMAKE_CURRENT_LIST_FILE}"
    BYPRODUCTS "${QPROXY_GENERATED}/version.h"
    COMMENT "version.h" VERBATIM)
