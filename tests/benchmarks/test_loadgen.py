"""The load generator counts the steps that were answered as they must be, and no run in which one was not."""

import socket
from array import array
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import cast

import pytest

from benchmarks import texting
from benchmarks.loadgen import Failed, Generator, Run
from benchmarks.paths import FIXED, FIXED_TEXT, MENU, SHORT_CODE
from benchmarks.wire import (
    BEGIN,
    DELIVER_SM,
    HEADER,
    RESPONSE,
    SUBMIT_SM,
    TAG_OP,
    TAG_SESSION,
    Message,
    pdu,
    read_message,
    tlv,
)

RUN = Run(path="fixed", width=3, numbers=7, dialogues=10)

Answer = Callable[[Message, int], bytes]


def screen(said: Message, sequence: int, text: str = FIXED_TEXT, session: int | None = None) -> bytes:
    """Return the submit_sm that shows this text to whoever said something."""
    octets = text.encode("utf-16-be")
    body = b"USSD\0\0\x01" + SHORT_CODE.encode() + b"\0\x01\x01" + said.source + b"\0"
    body += b"\0\0\0\0\0\0\0\x08\0" + bytes((len(octets),)) + octets
    session = said.session if session is None else session
    return pdu(SUBMIT_SM, sequence, body + tlv(TAG_OP, bytes((MENU,))) + tlv(TAG_SESSION, session.to_bytes(2)))


class Esme:
    """The other end of a connection, in memory: answers each deliver_sm at once, and notes what it was told."""

    def __init__(self, answer: Answer = screen, status: int = 0) -> None:
        self._answer = answer
        self._status = status
        self._waiting = bytearray()
        self.said: list[Message] = []
        self.acknowledged = array("L")

    def setsockopt(self, *_: int) -> None:
        """Take any option."""

    def sendall(self, octets: bytearray) -> None:
        """Take what was written, and have the answers ready."""
        at = 0
        while at < len(octets):
            length, command, _, sequence = HEADER.unpack_from(octets, at)
            if command == DELIVER_SM:
                said = read_message(bytes(octets[at : at + length]))
                self.said.append(said)
                self._waiting += pdu(DELIVER_SM | RESPONSE, sequence, b"\0", self._status)
                self._waiting += self._answer(said, len(self.said))
            else:
                assert command == SUBMIT_SM | RESPONSE
                self.acknowledged.append(sequence)
            at += length

    def recv_into(self, view: memoryview) -> int:
        """Give some of what is ready, PDUs cut anywhere."""
        size = min(len(view), len(self._waiting), 1000)
        view[:size] = self._waiting[:size]
        del self._waiting[:size]
        return size


def generator(esme: Esme) -> Generator:
    return Generator(cast(socket.socket, esme))


def test_each_dialogue_goes_over_the_whole_path_and_the_numbers_take_turns() -> None:
    esme = Esme()
    measured = generator(esme).run(RUN)
    assert (measured.steps, measured.counted) == (60, 60)
    assert list(esme.acknowledged) == list(range(1, 61))
    began = [said.source.decode()[-2:] for said in esme.said if said.op == BEGIN]
    assert began == ["00", "01", "02", "03", "04", "05", "06", "00", "01", "02"]
    for number in {said.source for said in esme.said}:
        texts = [said.text for said in esme.said if said.source == number]
        assert texts == [step.said for step in FIXED] * (len(texts) // len(FIXED))


def test_another_run_goes_on_with_other_sessions() -> None:
    esme = Esme()
    link = generator(esme)
    for first in (0, 100):
        assert link.run(replace(RUN, width=1, dialogues=2, first=first)).steps == 12
    assert sorted({said.session for said in esme.said}) == [1 << 8, 2 << 8, 3 << 8, 4 << 8]


def other_session(said: Message, sequence: int) -> bytes:
    return screen(said, sequence, session=(said.session + 256) % 0x7F00 if sequence == 5 else None)


def other_text(said: Message, sequence: int) -> bytes:
    return screen(said, sequence, "Что-то сломалось" if sequence == 5 else FIXED_TEXT)


def two_screens(said: Message, sequence: int) -> bytes:
    return screen(said, sequence) * (2 if sequence == 48 else 1)


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (other_session, 0, "session 0200 for 0100"),
        (other_text, 0, "expected op 0x02 and 'Вторая', got op 0x02 and 'Что-то сломалось'"),
        (two_screens, 0, "who has asked nothing"),
        (screen, 0x58, "deliver_sm_resp with status 0x00000058"),
    ],
)
def test_a_wrong_answer_fails_the_run(answer: Answer, status: int, why: str) -> None:
    with pytest.raises(Failed, match=why):
        generator(Esme(answer, status)).run(replace(RUN, width=1, dialogues=8))


def test_an_exchange_of_sms_is_over_when_both_answers_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def balance(said: Message, sequence: int) -> bytes:
        return screen(replace(said, session=0), sequence, "Баланс: 10 руб.")

    monkeypatch.setattr(texting, "perf_counter_ns", count(0, 1_000_000).__next__)
    esme = Esme(balance)
    link = texting.SmsGenerator(cast(socket.socket, esme))
    run = texting.Exchanges(text="balance", shows="Баланс", width=3, seconds=1, numbers=9)
    measured = link.exchange(run)
    assert measured.exchanges == len(esme.said) == len(esme.acknowledged) > 1000
    assert {said.text for said in esme.said} == {"balance"}
    with pytest.raises(Failed, match="expected 'Тариф', got 'Баланс"):
        link.exchange(replace(run, shows="Тариф"))
