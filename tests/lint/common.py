"""What the lint scripts share: the files, C without its comments, and the self-test that shows a check can fail."""

import argparse
import pathlib
import re
import sys
import tempfile


def c_files(root, *folders):
    """The C files and headers below the folders, sorted."""
    found = []
    for folder in folders:
        for suffix in ("*.c", "*.h", "*.def"):
            found += (root / folder).rglob(suffix)
    return sorted(found)


TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def code_only(text, keep_strings=False):
    """The text with comments (and the insides of strings) blanked out; every line stays where it was."""

    def blank(match):
        token = match.group()
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        if keep_strings:
            return token
        return token[0] + " " * (len(token) - 2) + token[-1]

    return TOKEN.sub(blank, text)


def matches(path, root, pattern, text, message):
    """One finding a match: file:line: message (with the match's first group put in)."""
    where = path.relative_to(root)
    return [f"{where}:{text.count(chr(10), 0, m.start()) + 1}: {message.format(m.group(1))}"
            for m in re.finditer(pattern, text)]


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def self_test(check, good, bad):
    """check() must pass the good tree, and find in each bad one what is wrong there."""
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "good"
        write_tree(root, good)
        findings = check(root)
        if findings:
            failures.append(f"good sample: {findings}")
        for number, (expected, files) in enumerate(bad):
            root = pathlib.Path(folder) / f"bad{number}"
            write_tree(root, {**good, **files})
            findings = check(root)
            if not any(expected in finding for finding in findings):
                failures.append(f"bad sample {number}: wanted {expected!r}, found {findings}")
    for failure in failures:
        print(failure)
    print(f"{len(bad)} bad samples and a good one: {len(failures)} wrong verdicts")
    return 1 if failures else 0


def main(check, good, bad, description):
    """check(root, build) returns findings; the self-test gives it samples instead of the tree."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build", type=pathlib.Path, help="a build folder (compile_commands.json, caches)")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    build = arguments.build or arguments.root / "build" / "dev"
    if arguments.self_test:
        sys.exit(self_test(lambda root: check(root, build), good, bad))
    findings = check(arguments.root.resolve(), build.resolve())
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    sys.exit(1 if findings else 0)
