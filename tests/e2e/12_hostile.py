"""Every message of tests/hostile against qproxy: what is doubtful is refused, what is forwarded has one reading (RFC 9112)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))

import request_cases  # noqa: E402, F401
import response_cases  # noqa: E402, F401
import rig  # noqa: E402
from cases import REQUEST_CASES, RESPONSE_CASES  # noqa: E402
from harness import SLOWNESS, test  # noqa: E402

PATIENCE = 10 * SLOWNESS  # nothing is judged by it: an answer that does not come fails the test
ONE_READ = 8192  # bytes that come at once, so that a fault behind the head is seen with the head
CUTS = 16  # of a long message


def expected_at_origin(case):
    return list(case.before) + (list(case.reads) if case.status[-1:] == (200,) else [])


def check_total(origin, expected):
    """Also what came after a case had been judged: not one request more."""
    whole, _, doubt = rig.reading_at_origin(origin.since({}))
    assert doubt is None, doubt
    assert len(whole) == expected, "%d requests reached the origin in all, not %d" % (len(whole), expected)


@test("P7", limit=60, smoke=True)
def a_malformed_request_is_refused_and_a_good_one_has_one_reading(env):
    origin, proxy = rig.start_qproxy(env)
    for case in REQUEST_CASES:
        with env.part(case.name):
            mark = origin.mark()
            outcome = rig.run_request(proxy.connect, origin, case, PATIENCE, max(1, len(case.status)))
            taken = b"".join(origin.since(mark))
            assert tuple(outcome.answers) == case.status, "%r: %r" % (outcome.answers, outcome.raw[:300])
            assert outcome.closed == case.closed and not outcome.cut and not outcome.doubt, outcome
            assert outcome.doubt_at_origin is None, "at the origin: %s: %r" % (outcome.doubt_at_origin, taken)
            assert rig.found_at_origin(outcome.whole) == expected_at_origin(case), "at the origin: %r" % taken
            comes_in_parts = case.ends or len(case.data) > ONE_READ
            assert outcome.rest == b"" or (case.cut and comes_in_parts), "a part of it reached the origin: %r" % outcome.rest
            for text in case.lacks:
                assert text not in taken.lower(), "%r reached the origin: %r" % (text, taken)
    check_total(origin, sum(len(expected_at_origin(case)) for case in REQUEST_CASES))


def places_to_cut(case):
    """Everywhere; in a long message at its head, at its end, and here and there between."""
    last = len(case.data)
    if last <= CUTS:
        return list(range(1, last))
    near = CUTS // 4
    step = (last - 2 * near) // (CUTS // 2) or 1
    return sorted({*range(1, near), *range(near, last - near, step), *range(last - near, last)})


@test("P7", limit=90)
def where_a_request_is_cut_changes_nothing(env):
    origin, proxy = rig.start_qproxy(env)
    total = 0
    for case in REQUEST_CASES:
        places = places_to_cut(case)
        total += len(places) * len(expected_at_origin(case))
        with env.part(case.name):
            outcomes, (whole, rest, doubt) = rig.run_cut(proxy.connect, origin, case, places, PATIENCE)
            for place, outcome in zip(places, outcomes):
                assert outcome == (case.status, case.closed, None), "cut at %d: %r" % (place, outcome)
            assert doubt is None, "at the origin: %s" % doubt
            assert sorted(rig.found_at_origin(whole)) == sorted(expected_at_origin(case) * len(places)), "at the origin: %r" % whole
            assert rest == b"" or case.cut, "a part of it reached the origin: %r" % rest
    check_total(origin, total)


@test("P6", limit=60)
def a_malformed_answer_is_a_502_or_a_visible_cut(env):
    origin, proxy = rig.start_qproxy(env)
    for case in RESPONSE_CASES:
        with env.part(case.name):
            outcome, probe, probe_doubt = rig.run_response(proxy.connect, origin, case, PATIENCE)
            assert not outcome.doubt, "at the client: %s: %r" % (outcome.doubt, outcome.raw[:500])
            assert probe and not probe_doubt, "the next request did not get its own answer: %s" % probe_doubt
            statuses = [answer.status for answer in outcome.answers]
            if case.cut:
                assert (statuses == [] and outcome.closed) or statuses == [502], "not visibly cut: %r" % outcome.raw[:500]
            else:
                assert statuses == [case.status], "%r: %r" % (statuses, outcome.raw[:500])
                assert case.status == 502 or outcome.answers[0].body == case.body, outcome.answers
