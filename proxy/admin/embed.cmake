# Writes C that gives files' bytes: cmake -D OUTPUT=parts.c -D "PARTS=style=page.css;script=page.js" -P embed.cmake
# A function qp_part_NAME() each; parts.h declares them.
set(text "#include \"admin/parts.h\"\n")
foreach(part IN LISTS PARTS)
    string(REGEX MATCH "^([a-z]+)=(.+)$" matched "${part}")
    set(name ${CMAKE_MATCH_1})
    file(READ "${CMAKE_MATCH_2}" bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " bytes "${bytes}")
    string(APPEND text "\nstatic const unsigned char ${name}[] = {\n${bytes}};\n"
        "struct qp_slice qp_part_${name}(void)\n{\n    return qp_slice((const char *)${name}, sizeof ${name});\n}\n")
endforeach()
file(WRITE "${OUTPUT}" "${text}")
