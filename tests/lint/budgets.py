#!/usr/bin/env python3
"""Sizes a reader can hold in mind: lines of a file, lines of a function, levels of nesting in it."""

import re

import common

FILE_LINES = 600
FILE_LINES_OF = {"proxy/relay/request.c": 700}  # one request's life, told in one place
FUNCTION_LINES = 60  # between its braces
NESTING = 4  # braces inside a function's own

LOOP_MACRO = re.compile(r"[A-Z][A-Z0-9_]*$")


def without_preprocessor(text):
    """Directives blanked, and of #if/#else only the first way, so that braces pair up."""
    lines, depth_skipped, continued = [], [], False
    for line in text.split("\n"):
        directive = re.match(r"\s*#\s*(\w+)", line)
        blank = continued or bool(directive)
        continued = blank and line.endswith("\\")
        if directive:
            word = directive.group(1)
            if word in ("if", "ifdef", "ifndef"):
                depth_skipped.append(False)
            elif word in ("else", "elif") and depth_skipped:
                depth_skipped[-1] = True
            elif word == "endif" and depth_skipped:
                depth_skipped.pop()
        lines.append("" if blank or any(depth_skipped) else line)
    return "\n".join(lines)


def word_before_parenthesis(text, close):
    """For the ) at close: the word before its partner, and that partner's place."""
    depth = 0
    for at in range(close, -1, -1):
        if text[at] == ")":
            depth += 1
        elif text[at] == "(":
            depth -= 1
            if depth == 0:
                word = re.search(r"(\w+)\s*$", text[max(0, at - 80):at])
                return (word.group(1) if word else ""), at
    return "", 0


def opens_block(text, at):
    """Whether the { at this place inside a function opens a block, not an initializer or a compound literal."""
    before = text[max(0, at - 400):at].rstrip()
    if not before or before[-1] in ";{}:":
        return True
    if before[-1] == ")":
        word, _ = word_before_parenthesis(before, len(before) - 1)
        return word in ("if", "for", "while", "switch") or bool(LOOP_MACRO.match(word))
    return bool(re.search(r"\b(do|else)$", before))


def functions(text):
    """Yields (name, line of its {, lines between its braces, deepest nesting)."""
    stack = []  # True for a block, False for another brace
    name = start = deepest = None
    for match in re.finditer(r"[{}]", text):
        at = match.start()
        if match.group() == "{":
            if not stack:
                before = text[:at].rstrip()
                is_function = before.endswith(")")
                stack.append(is_function)
                if is_function:
                    name, start, deepest = word_before_parenthesis(before, len(before) - 1)[0], at, 0
            else:
                stack.append(stack[-1] and opens_block(text, at))
                if stack[0]:
                    deepest = max(deepest, sum(stack) - 1)
        elif stack:
            was = stack.pop()
            if not stack and was:
                line = text.count("\n", 0, start) + 1
                yield name, line, max(0, text.count("\n", start, at) - 1), deepest


def check(root, build=None):
    findings = []
    for path in common.c_files(root, "proxy"):
        where = path.relative_to(root).as_posix()
        raw = path.read_text()
        limit = FILE_LINES_OF.get(where, FILE_LINES)
        lines = raw.count("\n")
        if lines > limit:
            findings.append(f"{where}:{limit}: {lines} lines; a file has at most {limit}")
        for name, line, length, nesting in functions(without_preprocessor(common.code_only(raw))):
            if length > FUNCTION_LINES:
                findings.append(f"{where}:{line}: {name}() has {length} lines; a function has at most {FUNCTION_LINES}")
            if nesting > NESTING:
                findings.append(f"{where}:{line}: {name}() nests {nesting} levels; at most {NESTING}")
    return findings


def function(lines):
    return "int f(void)\n{\n" + "    a();\n" * lines + "}\n"


NESTED = "void g(void)\n{\n" + "if (a) {" * 4 + "struct s x = {{1}, {2}}; h((struct s){{3}}, \"{\");" + "}" * 4 + "\n}\n"
GOOD = {
    "proxy/base/a.c": function(60) + NESTED + "struct s {\n" + "int a;\n" * 100 + "};\nstatic int t[] = {\n1\n};\n",
    "proxy/relay/request.c": "\n" * 700,
    "proxy/base/c.c": "#ifdef A\nvoid f(void) {\n#else\nvoid f(int a) {\n#endif\n}\n" + function(59),
}
BAD = [
    ("f() has 61 lines", {"proxy/base/b.c": function(61)}),
    (":63: f() has 61 lines", {"proxy/base/b.c": function(58) + function(61)}),
    ("g() nests 5 levels", {"proxy/base/b.c": "void g(void) {" + "for (;;) {" * 5 + "}" * 6 + "\n"}),
    ("g() nests 5 levels", {"proxy/base/b.c": "void g(void) {" + "QP_LIST_FOR_EACH (a, b) {" * 5 + "}" * 6 + "\n"}),
    ("601 lines", {"proxy/base/b.c": "\n" * 601}),
    ("701 lines", {"proxy/relay/request.c": "\n" * 701}),
]

if __name__ == "__main__":
    common.main(check, GOOD, BAD, __doc__)
