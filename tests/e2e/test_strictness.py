# SPDX-License-Identifier: MIT
"""What a message may look like: whatever stock bore (serde_json) takes we take, and nothing else. Stock is asked, row by row."""

import re

import pytest

from harness.lab import listening_at
from harness.streams import connect
from harness.wire import Conn, FakeRelay

SECRET = "s3cret"
ID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
BARE = ID.replace("-", "")

NUMBERS = """
    0 -0 0.0 -0.0 1e3 1E0 0e0 1e-1 1e400 00 08080 +1 -1 65535 65536 65535.0 18446744073709551616 -18446744073709551616
    0x10 NaN Infinity - null true "0" [0] {} {"port":0} 0/**/ ٣
""".split()  # fmt: skip

FORMS = [
    *(b" %s", b"\t%s", b"\r\n%s", b"%s\r\n\t ", b"%s\v", b"\f%s", b"\xa0%s", b"%sx", b"%s}", b"%s%s", b"[%s]", b"%s,", b"//\n%s"),
    *(b"", b" ", b"null", b"true", b"0", b'""', b"[]", b"{}", b'["Hello",0]', b'"Hello"', b'{"hello":0}', b'{"Goodbye":0}', b"{Hello:0}"),
    *(b"{'Hello':0}", b'{"\\u0048ello":0}', b'{"Hello\\u0000":0}', b'{"Hel\\lo":0}', b'{"Hello" :\t0 }', b'{"Hello":0,}', b'{"Hello":0,"more":0}'),
    *(b'{"more":0,"Hello":0}', b'{"Hello":0,"Hello":0}', b'{"Hello":0,"Accept":"' + ID.encode() + b'"}', b'{"Hello":0', b'{"Hello":}', b'{"Hello"}'),
]

TEXTS = [
    *(b"", b"00", b"\\u0000", b"\\/", b"\\x", b"\\'", b"a\nb", b"\x7f", b"\xc3\xa4", b"\\ud83d\\ude00", b"\\ud800", b"\\ude00\\ud83d", b"\\u12", b"\\U0041"),
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbf", b'","'),
]

IDS = [
    *(ID, ID.upper(), BARE, f"{{{ID}}}", f"urn:uuid:{ID}", f"URN:UUID:{ID}", f"urn:uuid:{BARE}", f"{{{BARE}}}", f"({ID})", f" {ID}", f"{ID} "),
    *(ID.replace("-", "_"), ID.replace("-", "", 1), "6ba7b8109-dad-41d1-80b4-00c04fd430c8", BARE[:-1], BARE + "0", "g" + BARE[1:], "\\u0036" + BARE[1:], "", "é" * 16),
]


def said(relay, row, secret):
    """The first word that a relay has for this message: b'' when it closes without one."""
    with Conn(connect(relay.control)) as conn:
        if secret:
            conn.recv()
        conn.send_raw(row + b"\0")
        while b"\0" not in conn.data and conn.fill():
            pass
        return re.sub(rb"\d+", b"N", conn.data.split(b"\0")[0])


def compare(lab, rows, secret=None):
    stock, ours = lab.relay("stock", secret=secret), lab.relay(secret=secret)
    answers = [(row, said(stock, row, secret), said(ours, row, secret)) for row in rows]
    return [answer for answer in answers if answer[1] != answer[2]], {answer[1] for answer in answers}


def test_numbers(lab):
    """{"Hello":-0} opened a tunnel; to serde it is a float."""
    differ, answers = compare(lab, [b'{"Hello":%s}' % number.encode() for number in NUMBERS])
    assert not differ
    assert {b"", b'{"Hello":N}'} == answers


def test_forms(lab):
    differ, answers = compare(lab, [form.replace(b"%s", b'{"Hello":0}') for form in FORMS])
    assert not differ
    assert {b"", b'{"Hello":N}'} == answers


def test_texts(lab):
    """A tag that can be read is a wrong secret, another one is no message."""
    differ, answers = compare(lab, [b'{"Authenticate":"%s"}' % text for text in TEXTS], SECRET)
    assert not differ
    assert {b'{"Error":"invalid secret"}', b'{"Error":"unable to parse message"}'} == answers


def test_ids(lab):
    """A UUID that can be read is told from one that can't only by stock's relay with a secret; ours doesn't answer an Accept there."""
    stock, ours = lab.relay("stock", secret=SECRET), lab.relay(secret=SECRET)
    for id in IDS:
        row = b'{"Accept":"%s"}' % id.encode()
        read = b"unable to parse" not in said(stock, row, SECRET)
        assert (b"unable to parse" not in said(ours, row, SECRET)) == read, id


ANSWERS = [b'{"Hello":%d}', b' {"Hello":%d}', b'{"Hello":%d.0}', b'{"Hello":-%d}', b'{"Hello":"%d"}', b'"Hello%d"', b'{"Hello":%d}x', b'{"Hello":%d,"a":1}']


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer.decode() for answer in ANSWERS])
@pytest.mark.parametrize("kind", ["stock", "ours"])
def test_answers_of_a_relay(lab, kind, answer):
    good = answer in ANSWERS[:2]
    with FakeRelay(*(("127.0.0.1", 7835) if kind == "stock" else ())) as fake:
        process = lab.start_client(fake, lab.app(), kind=kind, args=("--protocol", "bore") if kind == "ours" else ())
        with fake.accept() as conn:
            conn.raw()
            conn.send_raw(answer % 4000 + b"\0")
            if good:
                assert listening_at(process) == 4000
        if not good:
            assert process.wait_exit() > 0
            assert not process.find("listening at")
