#!/usr/bin/env python3
"""The house style: clang-format finds nothing to change in our C files. It is 14's taste; another version may differ."""

import shutil
import subprocess

import common

STYLE = (common.pathlib.Path(__file__).resolve().parents[2] / ".clang-format").as_posix()


def check(root, build=None):
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        return ["clang-format is not installed (Debian: clang-format)"]
    files = [path for path in common.c_files(root, "proxy", "tests") if path.suffix != ".def"]
    if not files:
        return []
    result = subprocess.run([program, f"--style=file:{STYLE}", "--dry-run", "-Werror", *files],
                            capture_output=True, text=True, check=False)
    findings = [line.replace(f"{root}/", "") for line in result.stderr.splitlines() if "error:" in line]
    return findings or ([result.stderr] if result.returncode else [])


GOOD = {"proxy/base/a.c": "int f(int a)\n{\n    return a;\n}\n"}
BAD = [
    ("proxy/base/b.c:1", {"proxy/base/b.c": "int f(int a) { return  a; }\n"}),
    ("tests/unit/b.c:2", {"tests/unit/b.c": "int f(int a)\n{\n  return a;\n}\n"}),
    ("proxy/base/b.h:1", {"proxy/base/b.h": "char* f(void);\n"}),
]

if __name__ == "__main__":
    common.main(check, GOOD, BAD, __doc__)
