"""A long SMS is one input, whichever server got which part of it when; what never becomes whole is given up aloud."""

import dataclasses
from itertools import permutations
from pathlib import Path

import pytest
from msgspec.structs import replace

from menus.own_texts import say
from smpp.constants import CommandId
from smpp.pdu import Message
from smpp.reassembly import Mark, Part, part_of
from smpp.segments import split
from tests.ussd_server.turns.bench import MSISDN, Bench, play, small_flow
from ussd_server.channels.base import Answer
from ussd_server.channels.sms import SMS
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.turns.admission import MAX_PARTS_WAITING
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.letters import AGE_MS, LIMITS

COMMAND = " " * 200 + "111"
"""Leads to activation, and only its last part says so."""


def cut(text: str, number: str = "2163", reference: int = 7) -> list[Part]:
    bare = Message(CommandId.DELIVER_SM, source_addr=MSISDN, destination_addr=number)
    parts = [part_of(part.into(bare), MSISDN) for part in split(text, reference)]
    return [part for part in parts if part is not None]


async def send(at: Bench, part: Part, **changed: object) -> Answer:
    return await at.text(part.destination, "", part=part, **changed)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_whole_is_played_when_the_last_part_came(tmp_path: Path, order: tuple[int, ...]) -> None:
    async def story(at: Bench) -> None:
        parts = cut(" " * 320 + "111")
        for number in order[:-1]:
            assert await send(at, parts[number]) == Answer(None)
        assert await at.journal() == []
        assert await send(at, parts[order[-1]]) == Answer(None)
        assert await at.sms_until(1) == ["Activated."]
        assert await at.journal() == ["activated"]
        assert at.metrics.turns["sms", "part"] == 2
        assert at.metrics.turns["sms", "answered"] == 1

    play(tmp_path, story)


def test_another_server_joins_what_the_first_one_kept(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        first, second = cut(COMMAND)
        await send(at, first)
        store = SqliteStore(tmp_path / "store.db")
        at.conversations = Conversations(dataclasses.replace(at.resources, store=store))
        await send(at, second)
        await store.close()
        assert await at.journal() == ["activated"]

    play(tmp_path, story)


def test_repetitions_change_nothing(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        first, second = cut(COMMAND)
        await send(at, first)
        before = await at.store.load(MSISDN)
        await send(at, first, link="another")
        assert await at.store.load(MSISDN) == before
        await send(at, second)
        before = await at.store.load(MSISDN)
        at.now += AGE_MS // 2
        await send(at, second, link="another")
        await send(at, first, link="another")
        assert await at.store.load(MSISDN) == before
        assert at.metrics.turns["sms", "repeated"] == 3

    play(tmp_path, story)


def test_a_whole_that_the_smsc_delivers_anew_is_played_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for reference in (7, 8):  # an SMSC that cuts for itself may number the parts anew
            for part in cut(COMMAND, reference=reference):
                await send(at, part, link=f"link {reference}")
        assert at.metrics.turns["sms", "answered"] == 1
        assert await at.sms_until(1) == ["Activated."]

    play(tmp_path, story)


def test_what_is_not_whole_in_time_is_given_up_and_who_wrote_it_is_told(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, cut(COMMAND)[0])
        at.now += AGE_MS - 1
        at.outbox.wake()
        assert (await at.store.load(MSISDN))[0].letters
        at.now += 1
        at.outbox.wake()
        (text,) = await at.sms_until(1)
        assert text == say(small_flow(), "unknown_sms", {}, "en")
        (entry,) = await at.store.journal(MSISDN)
        assert entry.kind == "sms incomplete"
        assert entry.data == {"number": "2163", "parts": 1, "of": 2, "reason": "expired"}
        record, _ = await at.store.load(MSISDN)
        assert record.letters == b""
        assert at.metrics.letters == {"expired": 1}

    play(tmp_path, story)


def test_the_memory_of_a_whole_letter_goes_without_a_word(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for part in cut(COMMAND):
            await send(at, part)
        await at.sms_until(1)
        at.now += AGE_MS
        at.outbox.wake()
        await at.until(lambda: at.metrics.outbox["letters", "done"] == 1)
        record, _ = await at.store.load(MSISDN)
        assert record.letters == b""
        assert await at.journal() == ["activated"]
        assert await at.store.next_due() is None

    play(tmp_path, story)


def test_letters_are_bounded_and_what_goes_is_told_in_the_journal(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for reference in range(LIMITS.letters + 2):
            await send(at, cut(COMMAND, reference=reference)[0])
        assert await at.journal() == ["sms incomplete"] * 2
        assert at.metrics.letters == {"crowded": 2}

    play(tmp_path, story)


def test_what_was_written_cannot_be_read_in_the_store(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, cut("The secret is swordfish. " * 10)[0])
        record, _ = await at.store.load(MSISDN)
        assert record.letters
        for file in tmp_path.iterdir():
            assert b"swordfish" not in file.read_bytes()

    play(tmp_path, story)


def test_parts_that_cannot_be_opened_hold_nothing_up(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        damages = (b"?", at.vault.seal_letters(b"?", MSISDN), at.vault.seal_letters(b"\x90", "79100000009"))
        for reference, damaged in enumerate(damages):
            first, second = cut(COMMAND, reference=reference)
            await send(at, first)
            record, version = await at.store.load(MSISDN)
            assert await at.store.commit(Change(version, replace(record, letters=damaged)))
            await send(at, second)
        assert await at.journal() == []
        await send(at, first)
        assert await at.journal() == ["activated"]

    play(tmp_path, story)


def test_a_burst_of_parts_is_taken_whole(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        answers: list[Answer] = []
        for number in range(1, MAX_PARTS_WAITING + 1):
            part = Part(MSISDN, "2163", Mark("udh8", 1, MAX_PARTS_WAITING, number), b"111"[number - 1 : number], "gsm")
            input = at.input("message", "", channel=SMS, number="2163", part=part)
            at.conversations.take(input, answers.append)
        await at.until(lambda: len(answers) == MAX_PARTS_WAITING)
        assert {answer.durable for answer in answers} == {True}
        assert await at.journal() == ["activated"]

    play(tmp_path, story)
