#!/usr/bin/env python3
"""Stories for the whole-proxy fuzz target: readable text to bytes (see proxy_fuzz.c).

    tests/fuzz/proxy_story.py                  writes tests/fuzz/proxy.corpus/ from tests/fuzz/proxy.stories
    tests/fuzz/proxy_story.py --show FILE      an input as text

A story is "== name [option ...]" and one step a line:
    ask CLIENT METHOD [body=BYTE] [flag ...]   flags: chunked old expect other creds nominated te trailers connection absolute held fields
    answer CONN STATUS FRAMING [body=BYTE] [flag ...]   flags: close nominated half almost
    and the steps of STEPS with their numbers; raw bytes as a Python string in double quotes.
CONN counts from the newest connection back. A BYTE below 128 is itself, up to 223 (BYTE - 128) * 311, above (BYTE - 223) * 16384.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = ["no_links", "few_streams", "short_replay", "eager_ends", "tight", "manual", "one_request", "short_tokens",
           "rates", "request_time", "budget", "ceiling"]
STEPS = ["connect", "ask", "send", "client_raw", "client_end", "client_cut", "client_window", "client_piece", "answer",
         "say", "inform", "origin_raw", "origin_end", "origin_window", "origin_piece", "stray", "accept", "refuse",
         "token", "token_refuse", "wait", "wait_long", "wait_next", "automatic", "hold", "turn", "drain",
         "client_vanish", "move"]
ONE_BYTE = {"send", "client_window", "client_piece", "say", "inform", "origin_end", "origin_window", "origin_piece",
            "refuse", "token", "wait", "wait_long", "automatic"}
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "REPORT"]
HOW = {"chunked": 16, "old": 32, "expect": 64, "other": 128}
MORE = {"creds": 1, "nominated": 2, "te": 4, "trailers": 8, "connection": 16, "absolute": 32, "held": 64, "fields": 128}
STATUSES = [200, 201, 204, 205, 206, 302, 304, 400, 401, 403, 404, 429, 500, 503, 417]
FRAMINGS = ["sized", "chunked", "until_close", "trailers", "json", "json_chunked", "json_until_close"]
ANSWER = {"close": 8, "nominated": 16, "half": 32, "almost": 64}


def flags(words, table):
    return sum(table[word] for word in words if word in table)


def body(words):
    return next((int(word[5:]) for word in words if word.startswith("body=")), None)


def compile_step(line):
    match = re.fullmatch(r'(\w+)\s*(\d*)\s*(.*)', line)
    verb, who, rest = match.group(1), int(match.group(2) or 0), match.group(3)
    head = bytes([STEPS.index(verb) | who << 5])
    if rest.startswith('"'):
        raw = rest[1:-1].encode().decode("unicode_escape").encode("latin-1")
        return head + bytes([len(raw)]) + raw
    words = rest.split()
    if verb == "ask":
        length = body(words)
        how = METHODS.index(words[0]) | (8 if length is not None else 0) | flags(words, HOW)
        return head + bytes([how, flags(words, MORE), length or 0])
    if verb == "answer":
        how = FRAMINGS.index(words[1]) | flags(words, ANSWER)
        return head + bytes([STATUSES.index(int(words[0])), how, body(words) or 0])
    if len(words) != (verb in ONE_BYTE):
        sys.exit(f"{line}: {verb} takes {'one number' if verb in ONE_BYTE else 'none'} behind its first")
    return head + bytes(int(word) for word in words)


def compile_stories(text):
    stories, name = {}, None
    for line in text.split("\n"):
        line = line.split("#")[0].strip()
        if line.startswith("=="):
            name, *options = line[2:].split()
            stories[name] = sum(1 << OPTIONS.index(option) for option in options).to_bytes(2, "little")
        elif line:
            stories[name] += compile_step(line)
    return stories


def names(value, table):
    return [word for word, bit in table.items() if value & bit]


def show(data):
    at = iter(data)
    take = lambda: next(at, 0)
    options = take() | take() << 8
    print("==", " ".join(["input"] + [word for i, word in enumerate(OPTIONS) if options >> i & 1]))
    for byte in at:
        verb, who = STEPS[byte & 31] if byte & 31 < len(STEPS) else "nothing", byte >> 5
        words = []
        if verb == "ask":
            how, more, length = take(), take(), take()
            words = [METHODS[how & 7]] + ([f"body={length}"] if how & 8 else []) + names(how, HOW) + names(more, MORE)
        elif verb == "answer":
            status, how, length = take() % 16, take(), take()
            words = [str((STATUSES + [200])[status]), (FRAMINGS + ["sized"])[how & 7], f"body={length}"] + names(how, ANSWER)
        elif verb in ("client_raw", "origin_raw"):
            words = [repr(bytes(take() for _ in range(take())))]
        elif verb in ONE_BYTE:
            words = [str(take())]
        print(verb, who, *words)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--show"]:
        show(pathlib.Path(sys.argv[2]).read_bytes())
        sys.exit()
    for name, data in compile_stories((HERE / "proxy.stories").read_text()).items():
        (HERE / "proxy.corpus" / name).write_bytes(data)
