#!/usr/bin/env python3
"""Words that our code may not use, each with what to use instead."""

import common

CALL = r"(?<![\w.>])({})[ \t]*\("

# (where, pattern, message); strings and comments are blanked out first.
EVERYWHERE = ["proxy", "tests"]
PROXY = ["proxy"]
CALLS = [
    (EVERYWHERE, "strcpy|strcat|stpcpy|strncpy|strncat", "{} loses track of lengths: use a slice or a buffer"),
    (EVERYWHERE, "v?sprintf", "{} writes past the end: use snprintf or a buffer"),
    (EVERYWHERE, "ato[ifl]|atoll", "{} hides errors: use the parsers of base/"),
    (EVERYWHERE, "strtok|gets|alloca|tmpnam|mktemp", "{} is unsafe"),
    (PROXY, "assert", "{} vanishes or aborts: use qp_require() or qp_broken()"),
    (EVERYWHERE, r"llhttp_set_lenient\w*", "{} lets two readings in: llhttp stays strict"),
]
ALLOCATION = (PROXY, "malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|posix_memalign",
              "{} is for base/ only: use qp_alloc() and qp_free()")
WORDS = r"\b(TODO|FIXME|XXX)\b"


def check(root, build=None):
    findings = []
    for path in common.c_files(root, *EVERYWHERE):
        where = path.relative_to(root).parts
        raw = path.read_text()
        text = common.code_only(raw)
        rules = list(CALLS)
        if where[:2] != ("proxy", "base"):
            rules.append(ALLOCATION)
        for folders, words, message in rules:
            if where[0] in folders:
                findings += common.matches(path, root, CALL.format(words), text, message)
        findings += common.matches(path, root, WORDS, raw, "{}: do it, or write down why not")
    return findings


GOOD = {
    "proxy/base/alloc.c": "void *qp_alloc(void) { return malloc(1); }\n",
    "proxy/net/a.c": "// free(x)\nvoid f(void) { static_assert(1); x->free(y); x.free(y); s = \"free(x)\"; qp_free(x); }\n",
    "tests/unit/base/a_test.c": "int main(void) { void *p = malloc(1); free(p); }\n",
}
BAD = [
    (":2: malloc", {"proxy/net/b.c": "int a;\nvoid *p = malloc(1);\n"}),
    ("free is for base/", {"proxy/net/b.c": "void f(void) { free (p); }\n"}),
    ("strdup is for base/", {"proxy/main.c": "char *s = strdup(t);\n"}),
    ("strcpy loses", {"tests/unit/base/b_test.c": "void f(void) { strcpy(a, b); }\n"}),
    ("sprintf writes", {"proxy/base/b.c": "void f(void) { sprintf(a, b); }\n"}),
    ("atoi hides", {"proxy/base/b.h": "int a = atoi(b);\n"}),
    ("assert vanishes", {"proxy/base/b.c": "void f(void) { assert(a); }\n"}),
    ("llhttp_set_lenient_headers lets", {"proxy/http/b.c": "void f(void) { llhttp_set_lenient_headers(a, 1); }\n"}),
    ("TODO", {"proxy/base/b.c": "// " + "TODO: later\n"}),
]

if __name__ == "__main__":
    common.main(check, GOOD, BAD, __doc__)
