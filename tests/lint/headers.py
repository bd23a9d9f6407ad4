#!/usr/bin/env python3
"""Each header compiles alone and may be included twice: who includes it needs to know nothing more."""

import concurrent.futures
import json
import os
import shlex
import subprocess

import common


def flags_of(root, build):
    """The compiler and the include folders and definitions that any file below proxy/ is compiled with."""
    commands = build / "compile_commands.json"
    compiler, flags = "cc", []
    if commands.exists():
        for entry in json.loads(commands.read_text()):
            words = shlex.split(entry["command"])
            compiler = words[0]
            for at, word in enumerate(words):
                if word.startswith(("-I", "-D", "-std=")):
                    flags.append(word)
                elif word == "-isystem":
                    flags += [word, words[at + 1]]
    pairs = dict.fromkeys(zip(flags, flags[1:] + [""]))  # an -isystem stays with its folder
    kept = []
    for word, after in pairs:
        if word == "-isystem":
            kept += [word, after]
        elif word.startswith(("-I", "-D", "-std=")) and word not in kept:
            kept.append(word)
    return compiler, [f"-I{root}/proxy", *kept]


def compile_alone(root, header, compiler, flags):
    name = header.relative_to(root / "proxy").as_posix()
    lines = f'#include "{name}"\n#include "{name}"\ntypedef int not_empty;\n'
    result = subprocess.run([compiler, *flags, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                             "-Wno-missing-field-initializers", "-x", "c", "-"],
                            input=lines, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return []
    return [f"proxy/{name}:1: does not compile alone\n{result.stderr}"]


def check(root, build):
    compiler, flags = flags_of(root, build)
    headers = [path for path in common.c_files(root, "proxy") if path.suffix == ".h"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda header: compile_alone(root, header, compiler, flags), headers)
    return [finding for found in results for finding in found]


GOOD = {"proxy/base/a.h": "#pragma once\n#include <stddef.h>\nstruct a {\n    size_t n;\n};\n"}
BAD = [
    ("b.h:1: does not compile", {"proxy/base/b.h": "struct b {\n    size_t n;\n};\n"}),
    ("b.h:1: does not compile", {"proxy/base/b.h": "struct b {\n    int n;\n};\n"}),
]

if __name__ == "__main__":
    common.main(check, GOOD, BAD, __doc__)
