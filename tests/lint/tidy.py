#!/usr/bin/env python3
"""clang-tidy, with the checks of .clang-tidy, over every compiled file of proxy/ and of the stand-in.

A file that was clean is not looked at again until it, a header it includes, its flags or .clang-tidy change."""

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess

import common

CONFIG = common.pathlib.Path(__file__).resolve().parents[2] / ".clang-tidy"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def with_headers(path, root):
    """The file and every file of ours that it includes, however far away."""
    seen, waiting = set(), [path]
    while waiting:
        here = waiting.pop()
        if here in seen or not here.exists():
            continue
        seen.add(here)
        for name in INCLUDE.findall(here.read_text()):
            waiting += [root / "proxy" / name, here.parent / name]
    return sorted(seen)


def fingerprint(path, root, command, version):
    digest = hashlib.sha256()
    for part in (command, version, CONFIG.read_text()):
        digest.update(part.encode())
    for file in with_headers(path, root):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def tidy(path, root, build, program, mark):
    result = subprocess.run([program, "--quiet", f"-p={build}", f"--config-file={CONFIG}",
                             f"--header-filter=^{re.escape(str(root))}/(proxy|tests)/", "--warnings-as-errors=*",
                             # gcc's flags that clang does not know
                             "--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error", str(path)],
                            capture_output=True, text=True, check=False)
    findings = [line.replace(f"{root}/", "") for line in result.stdout.splitlines()
                if re.search(r": (error|warning): ", line)]
    if result.returncode and not findings:
        findings = [f"{path.relative_to(root)}: clang-tidy failed: {result.stderr.strip()}"]
    if not findings:
        mark.touch()
    return findings


def check(root, build):
    program = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if not program:
        return ["clang-tidy is not installed (Debian: clang-tidy)"]
    if not (build / "compile_commands.json").exists():
        return [f"{build} has no compile_commands.json: configure the preset dev"]
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    clean = build / "tidy-clean"
    clean.mkdir(exist_ok=True)
    jobs = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = common.pathlib.Path(entry["file"])
        if not path.is_relative_to(root / "proxy") and not path.is_relative_to(root / "tests" / "standin"):
            continue
        mark = clean / fingerprint(path, root, entry["command"], version)
        if not mark.exists():
            jobs.append((path, mark))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: tidy(job[0], root, build, program, job[1]), jobs)
        findings = {finding: None for found in results for finding in found}  # a header's finding once
    print(f"{len(jobs)} files looked at")
    return list(findings)


def check_sample(root, build=None):
    """The self-test's samples have no build folder: it is made for them."""
    entries = [{"directory": str(root), "file": str(path), "command": f"cc -std=c11 -I{root}/proxy -c {path}"}
               for path in root.rglob("*.c")]
    (root / "compile_commands.json").write_text(json.dumps(entries))
    return check(root, root)


GOOD = {"proxy/base/a.h": "int f(int a);\n",
        "proxy/base/a.c": '#include "base/a.h"\n\nint f(int a)\n{\n    return a;\n}\n'}
BAD = [
    ("b.c:3", {"proxy/base/b.c": "int f(int *a)\n{\n    return a ? 0 : *a;\n}\n"}),
    ("bugprone-suspicious-memset-usage", {"proxy/base/b.c": "#include <string.h>\nvoid f(char *a);\nvoid f(char *a)\n{\n"
                                          "    memset(a, 'a', 0);\n}\n"}),
    ("a.h:2", {"proxy/base/a.h": "int f(int a);\n#define TWICE(a) a * 2\n"}),
]

if __name__ == "__main__":
    import sys
    common.main(check_sample if "--self-test" in sys.argv else check, GOOD, BAD, __doc__)
