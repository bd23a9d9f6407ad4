#!/usr/bin/env python3
"""Each header compiles alone and may be included twice: who includes it needs to know nothing more."""

import concurrent.futures
import json
import os
import shlex
import subprocess

import common


def flags_of(root, build):
    """The compiler, and every include folder and definition that our own code is compiled with."""
    commands = build / "compile_commands.json"
    entries = json.loads(commands.read_text()) if commands.exists() else []
    compiler, folders, definitions = "cc", {}, {}
    for entry in entries:
        if not entry["file"].startswith((f"{root}/proxy/", f"{root}/tests/")):
            continue
        words = shlex.split(entry["command"])
        compiler = words[0]
        for word, after in zip(words, words[1:]):
            if word.startswith("-D"):
                definitions[word.partition("=")[0]] = word
            elif word == "-isystem":
                folders[after] = None
    return compiler, ["-std=c11", f"-I{root}/proxy", f"-I{build}/generated", *definitions.values(),
                      *(flag for folder in folders for flag in ("-isystem", folder))]


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
