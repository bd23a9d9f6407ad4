#!/usr/bin/env python3
"""Rooms may only look down: reads every #include and fails on an arrow that points up, or on a library outside its room."""

import re

import common

# THE table of arrows: what each room may include. Nothing beside it, nothing above it.
BELOW = {
    "base": set(),
    "config": {"base"},
    "net": {"base"},
    "http": {"base"},
    "origin": {"http", "net", "base"},
    "server": {"origin", "http", "net", "base"},
    "token": {"origin", "http", "net", "base"},
    "relay": {"token", "server", "origin", "http", "net", "base"},
    "admin": {"token", "server", "origin", "http", "net", "base"},
    "cli": {"admin", "relay", "token", "server", "origin", "http", "net", "config", "base"},
    "main": {"cli", "admin", "relay", "token", "server", "origin", "http", "net", "config", "base"},
    "standin": {"server", "origin", "http", "net", "base"},
}

# Which rooms may include which third-party library.
LIBRARIES = {
    r"llhttp\.h": ("llhttp", {"http"}),
    r"(mbedtls|psa)/.*": ("mbedTLS", {"net", "token", "standin"}),
    r"cJSON(_Utils)?\.h": ("cJSON", {"token", "config", "admin", "cli", "standin"}),
    r"uv(/.*)?\.h": ("libuv", {"net", "cli"}),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def room_of(path, root):
    parts = path.relative_to(root).parts
    if parts[0] == "tests":
        return "standin"
    return parts[1] if len(parts) > 2 else "main"


def fault(room, quote, name):
    """Why this room may not include this, or None."""
    for pattern, (library, rooms) in LIBRARIES.items():
        if re.fullmatch(pattern, name):
            return None if room in rooms else f"{library} lives in {', '.join(sorted(rooms))}, not in {room}"
    if quote == "<":
        return None
    folder, slash, _ = name.partition("/")
    if room == "standin" and (not slash or folder == "standin") or name == "version.h":
        return None
    if not slash or folder not in BELOW:
        return f'"{name}": includes start at proxy/, like "base/slice.h"'
    if folder != room and folder not in BELOW[room]:
        return f"{room} may not include {name}: arrows point down only"
    return None


def check(root, build=None):
    findings = []
    for path in common.c_files(root, "proxy", "tests/standin"):
        room = room_of(path, root)
        where = path.relative_to(root)
        if room not in BELOW:
            findings.append(f"{where}:1: the room {room} is not in the table of arrows")
            continue
        text = common.code_only(path.read_text(), keep_strings=True)
        for match in INCLUDE.finditer(text):
            reason = fault(room, *match.groups())
            if reason:
                findings.append(f"{where}:{text.count(chr(10), 0, match.start()) + 1}: {reason}")
    return findings


GOOD = {
    "proxy/main.c": '#include "cli/run.h"\n#include "version.h"\n',
    "proxy/relay/request.c": '#include "relay/request.h"\n#include "token/keeper.h"\n#include <stdio.h>\n',
    "proxy/http/parse.c": '#include <llhttp.h>\n#include "base/slice.h"\n// #include "relay/no.h"\n',
    "proxy/net/tls.c": "#include <mbedtls/ssl.h>\n#include <uv.h>\n",
    "tests/standin/main.c": '#include "server/server.h"\n#include "grants.h"\n',
}
BAD = [
    ("arrows point down only", {"proxy/base/a.c": '#include "net/stream.h"\n'}),
    ("arrows point down only", {"proxy/http/a.h": '  #  include "net/stream.h"\n'}),
    ("arrows point down only", {"proxy/server/a.c": '#include "token/keeper.h"\n'}),
    ("arrows point down only", {"proxy/relay/a.c": '#include "config/config.h"\n'}),
    ("arrows point down only", {"proxy/admin/a.c": '#include "relay/request.h"\n'}),
    ("arrows point down only", {"tests/standin/a.c": '#include "token/grant.h"\n'}),
    ("llhttp lives in", {"proxy/relay/a.c": "#include <llhttp.h>\n"}),
    ("mbedTLS lives in", {"proxy/http/a.c": "#include <mbedtls/sha256.h>\n"}),
    ("mbedTLS lives in", {"proxy/admin/a.c": '#include "psa/crypto.h"\n'}),
    ("cJSON lives in", {"proxy/relay/a.c": "#include <cJSON.h>\n"}),
    ("libuv lives in", {"proxy/server/a.c": "#include <uv.h>\n"}),
    ("start at proxy/", {"proxy/base/a.c": '#include "slice.h"\n'}),
    ("not in the table", {"proxy/attic/a.c": "\n"}),
]

if __name__ == "__main__":
    common.main(check, GOOD, BAD, __doc__)
