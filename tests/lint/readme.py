#!/usr/bin/env python3
"""README.md says what the program says: the table of settings, the error codes, the drawing of a request; and its links lead somewhere.

--write puts the table of settings into README.md.
"""

import re
import subprocess
import sys

import common

BEGIN, END = "<!-- table: ", "<!-- end of table -->"
COLUMNS = 110
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]


def settings_table(root, build):
    """What `qproxy check --table` says; the self-test's trees have it in a file."""
    sample = root / "table"
    if sample.exists():
        return sample.read_text()
    command = [build / "qproxy", "check", "--table"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def parts(text):
    """The page as what stands up to the table, the table, and what stands behind it; None without the marks."""
    found = re.search(re.escape(BEGIN) + r"[^\n]*\n(.*?)" + re.escape(END), text, re.S)
    return found and (text[:found.start(1)], found.group(1), text[found.end(1):])


def codes(root):
    """{code: status} of every answer of qproxy's own to a client."""
    found = {}
    reply = re.sub(r"\\\n", "\n", (root / "proxy/relay/reply.h").read_text())
    refusals = (root / "proxy/http/refusals.def").read_text()
    server = (root / "proxy/server/answer.c").read_text()
    for text, pattern in ((reply, r'X\(QP_REPLY_\w+,\s*(\d+),\s*"(\w+)"'),
                          (refusals, r'QP_REFUSAL_ROW\((?!QP_REFUSAL_STATUS|QP_REFUSAL_REASON)\w+,\s*(\d+),\s*"(\w+)"'),
                          (server, r'^\s*(4\d\d|5\d\d), "(\w+)",')):
        for status, code in re.findall(pattern, text, re.M):
            found[code] = status
    return found


def drawing(root):
    """The drawing in request.c's head, without the comment's stars."""
    text = (root / "proxy/relay/request.c").read_text()
    found = re.search(r"( \*   READ_HEAD ->.*?\n) \*\n", text, re.S)
    return re.sub(r"^ \* ?", "", found.group(1), flags=re.M).rstrip() if found else None


def squeezed(text):
    return [line.strip() for line in text.splitlines()]


def check_codes(root, text):
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.M))
    said = codes(root)
    findings = [f"README.md:1: `{code}` | {status} is not in the tables of errors"
                for code, status in sorted(said.items()) if rows.get(code) != status]
    return findings + [f"README.md:1: `{code}` is in a table of errors, but the program never says it"
                       for code in sorted(rows) if code not in said]


def check_links(root, name, text):
    findings = []
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*)", prose, re.M)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        path, _, anchor = target.partition("#")
        if re.match(r"(https?|mailto):", target):
            continue
        if path and not (root / path).exists() or not path and anchor not in anchors:
            findings.append(f"{name}:1: the link to {target} leads nowhere")
    return findings


def check(root, build=None):
    text = (root / "README.md").read_text()
    split = parts(text)
    if not split:
        return [f"README.md:1: the marks around the table of settings are missing: {BEGIN}... and {END}"]
    before, table, behind = split
    findings = []
    if table != settings_table(root, build):
        line = before.count("\n") + 1
        findings.append(f"README.md:{line}: not what qproxy check --table says: python3 tests/lint/readme.py --write")
    findings += check_codes(root, text)
    shown = drawing(root)
    if not shown or "\n".join(squeezed(shown)) not in "\n".join(squeezed(text)):
        findings.append("README.md:1: the drawing of a request is not the one in proxy/relay/request.c")
    for name in PAGES:
        page = (root / name).read_text() if (root / name).exists() else ""
        findings += check_links(root, name, page)
        for number, line in enumerate(page.splitlines(), 1):
            if len(line) > COLUMNS and line not in table.splitlines():
                findings.append(f"{name}:{number}: {len(line)} columns; at most {COLUMNS}")
    return findings


def write(root, build):
    page = root / "README.md"
    before, _, behind = parts(page.read_text())
    page.write_text(before + settings_table(root, build) + behind)


CODE = {
    "proxy/relay/reply.h": '#define M(X) \\\n    X(QP_REPLY_A, 404, "no_account", \\\n "text")\n',
    "proxy/http/refusals.def": 'QP_REFUSAL_ROW(QP_REFUSAL_B, 400, "bad_field",\n "text")\nQP_REFUSAL_ROW(QP_REFUSAL_STATUS, 400, "bad_status", "")\n',
    "proxy/server/answer.c": '    413, "body_too_large", "text"};\n',
    "proxy/relay/request.c": "/* request.c\n *\n *   READ_HEAD -> TOKEN\n *      ^  401\n *\n */\n",
    "table": "| a | b |\n",
}
README = (f"# A page\n[here](#a-page) [licence](LICENSE)\n{BEGIN}x -->\n| a | b |\n{END}\n"
          "| `no_account` | 404 | x |\n| `bad_field` | 400 | x |\n| `body_too_large` | 413 | x |\n"
          "```\n  READ_HEAD -> TOKEN\n     ^  401\n```\n")
GOOD = {**CODE, "README.md": README, "LICENSE": "x\n"}
BAD = [
    ("not what qproxy check --table says", {"table": "| a | c |\n"}),
    ("marks around the table", {"README.md": README.replace(END, "")}),
    ("`no_account` | 404", {"README.md": README.replace("| `no_account` | 404", "| `no_account` | 400")}),
    ("`bad_field` | 400", {"README.md": README.replace("| `bad_field` | 400 | x |\n", "")}),
    ("`old` is in a table", {"README.md": README + "| `old` | 400 | x |\n"}),
    ("drawing of a request", {"README.md": README.replace("^  401", "^ 403")}),
    ("link to GONE leads nowhere", {"README.md": README + "[x](GONE)\n"}),
    ("link to #gone leads nowhere", {"SECURITY.md": "[x](#gone)\n"}),
    ("111 columns", {"README.md": README + "x" * 111 + "\n"}),
]

if __name__ == "__main__":
    if "--write" in sys.argv:
        sys.argv.remove("--write")
        common.main(lambda root, build: write(root, build) or check(root, build), GOOD, BAD, __doc__)
    common.main(check, GOOD, BAD, __doc__)
