# qproxy_unit_test(<room> <name>_test.c [WRAP fn...] [DEPENDS rooms...] [LIBRARIES uv...] [SOURCES helper.c...]
#                  [TIMEOUT seconds] [THREADS])
#   A cmocka program named <room>.<name>, linked with qp_<room>. WRAP replaces a function at the linker
#   (-Wl,--wrap=fn: the test defines __wrap_fn, and the true one is __real_fn). Its labels are unit, the room, and
#   threads for the rooms that have any (or where THREADS says so): those run under ThreadSanitizer too.
#
# qproxy_fuzz_target(<name> SOURCES <name>_fuzz.c... [WRAP fn...] [DEPENDS rooms...] [LIBRARIES ...])
#   In the preset fuzz a libFuzzer binary fuzz_<name>. In every other one the same file with replay_main.c, run by ctest
#   over tests/fuzz/<name>.corpus/ and tests/fuzz/regression/<name>/.
set(QPROXY_ROOMS_WITH_THREADS net server token relay admin cli)

# WRAP works on calls between object files; link-time optimisation would see through them.
function(qproxy_unit_test room file)
    cmake_parse_arguments(PARSE_ARGV 2 TEST "THREADS" "TIMEOUT" "WRAP;DEPENDS;LIBRARIES;SOURCES")
    qproxy_no_strays(qproxy_unit_test "${TEST_UNPARSED_ARGUMENTS}")
    if(NOT file MATCHES "^(.*)_test\\.c$")
        message(FATAL_ERROR "qproxy_unit_test: ${file} is not named <what>_test.c")
    endif()
    set(name ${room}.${CMAKE_MATCH_1})
    add_executable(${name} ${file} ${TEST_SOURCES})
    set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/unit")
    qproxy_own_code(${name})
    target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/tests")
    target_compile_definitions(${name} PRIVATE "QP_TEST_DIR=\"${CMAKE_CURRENT_SOURCE_DIR}\"")
    if(NOT room STREQUAL "third_party") # the libraries have tests too, but are no room
        list(PREPEND TEST_DEPENDS ${room})
    endif()
    qproxy_link(${name} PRIVATE DEPENDS ${TEST_DEPENDS} LIBRARIES ${TEST_LIBRARIES})
    target_link_libraries(${name} PRIVATE qp_cmocka)
    foreach(wrapped IN LISTS TEST_WRAP)
        target_link_options(${name} PRIVATE "-Wl,--wrap=${wrapped}")
    endforeach()

    add_test(NAME ${name} COMMAND ${name})
    set(labels unit ${room})
    if(TEST_THREADS OR room IN_LIST QPROXY_ROOMS_WITH_THREADS)
        list(APPEND labels threads)
    endif()
    if(NOT TEST_TIMEOUT)
        set(TEST_TIMEOUT 60)
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${TEST_TIMEOUT}
        ENVIRONMENT "${QPROXY_SANITIZER_ENVIRONMENT}")
    qproxy_register(${file})
endfunction()

function(qproxy_fuzz_target name)
    cmake_parse_arguments(PARSE_ARGV 1 FUZZ "" "" "SOURCES;WRAP;DEPENDS;LIBRARIES")
    qproxy_no_strays(qproxy_fuzz_target "${FUZZ_UNPARSED_ARGUMENTS}")
    add_executable(fuzz_${name} ${FUZZ_SOURCES})
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
    qproxy_own_code(fuzz_${name})
    # libFuzzer names the function; it has no header that declares it.
    target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
    target_include_directories(fuzz_${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/tests")
    qproxy_link(fuzz_${name} PRIVATE DEPENDS ${FUZZ_DEPENDS} LIBRARIES ${FUZZ_LIBRARIES})
    foreach(wrapped IN LISTS FUZZ_WRAP)
        target_link_options(fuzz_${name} PRIVATE "-Wl,--wrap=${wrapped}")
    endforeach()
    if(QPROXY_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(fuzz_${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c")
        add_test(NAME fuzz.${name} COMMAND fuzz_${name} "${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.corpus"
            "${CMAKE_SOURCE_DIR}/tests/fuzz/regression/${name}")
        set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120
            ENVIRONMENT "${QPROXY_SANITIZER_ENVIRONMENT}")
    endif()
    foreach(file IN LISTS FUZZ_SOURCES)
        qproxy_register(${file})
    endforeach()
endfunction()

# The first error of a sanitizer ends the program and says where it was.
set(QPROXY_SANITIZER_ENVIRONMENT
    "ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# A test that nobody registered would never run: the end of tests/CMakeLists.txt calls qproxy_check_registered().
set_property(GLOBAL PROPERTY QPROXY_REGISTERED "")
function(qproxy_register file)
    cmake_path(ABSOLUTE_PATH file NORMALIZE)
    set_property(GLOBAL APPEND PROPERTY QPROXY_REGISTERED "${file}")
endfunction()

function(qproxy_check_registered)
    get_property(registered GLOBAL PROPERTY QPROXY_REGISTERED)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/*_test.c" "${CMAKE_SOURCE_DIR}/tests/*_fuzz.c")
    list(REMOVE_ITEM found ${registered} "")
    if(found)
        list(JOIN found "\n  " found)
        message(FATAL_ERROR "These tests are not registered, so they would never run:\n  ${found}")
    endif()
endfunction()
