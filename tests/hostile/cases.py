"""What a case is: bytes, what the RFCs let a reader do with them, and what qproxy does.

    must     "refuse"   the RFC wants an error, or any other answer would choose one of several readings
             "either"   the RFC lets a reader refuse, or repair the message before it forwards it
             "forward"  the message is good, however odd
    status   qproxy's final answers, in order
    reads    what a strict reader finds at the origin when the message is let through: (method, target, body) each
"""

import collections

RequestCase = collections.namedtuple("RequestCase", "name rfc must status data reads before closed lacks ends cut")
ResponseCase = collections.namedtuple("ResponseCase", "name rfc must status data method body cut end late")

REQUEST_CASES = []
RESPONSE_CASES = []


def _add(cases, case):
    assert all(case.name != other.name for other in cases), "two cases of one name: " + case.name
    assert case.must in ("refuse", "either", "forward")
    cases.append(case)


def request(name, rfc, must, status, data, reads=(), before=(), closed=None, lacks=(), ends=False, cut=False):
    """before: requests ahead of the doubtful one in the same bytes: they are always forwarded. closed: behind the last answer;
    by default if that is no 200. lacks: what must not stand in the forwarded bytes, in lower case. ends: the client's side ends
    behind the bytes. cut: the fault is behind the head, so a head may reach the origin, but never a whole message."""
    status = status if isinstance(status, tuple) else (status,)
    closed = closed if closed is not None else status[-1:] != (200,)
    _add(REQUEST_CASES, RequestCase(name, rfc, must, status, data, tuple(reads), tuple(before), closed, tuple(lacks), ends, cut))


def response(name, rfc, must, status, data, body=b"", method="GET", cut=False, end="keep", late=b""):
    """status: the client's; 502 for a refusal. cut: the client sees that the answer is not whole (or gets a 502 if nothing of it was
    on its way). end: what the origin does behind the bytes: keep, close (with close_notify), cut (without) or reset. late: bytes
    a moment later."""
    _add(RESPONSE_CASES, ResponseCase(name, rfc, must, status, data, method, body, cut, end, late))
