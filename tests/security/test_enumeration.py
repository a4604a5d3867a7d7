"""Nobody learns at a terminal which numbers have a code: not by a text, a status, a header, a count, or by time."""

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import combinations
from pathlib import Path

import nacl.pwhash.argon2id
import pytest

from tests.security.hall import CODE, WRONG, Hall, Said, visit
from ussd_server.secrecy.vault import Checked

Number = Callable[[Hall], Awaitable[str]]

KINDS: dict[str, Number] = {"unknown": Hall.unknown, "inactive": Hall.inactive, "wrong": Hall.active}
ENTRIES = 5
"""Three that are counted, of which the last one locks, and two at a lock."""

SAMPLES = 30
SAME_ORDER = (0.15, 0.85)
"""How often a time of one kind may exceed one of another. Half the time where nothing differs; over 30 samples each a
share outside comes about once in fifty thousand runs. One argon2id more or less makes it 0 or 1."""
SAME_MEDIAN = 1.5

Times = dict[str, list[float]]
BATCHES = 3
"""What differs does so in every batch of samples; what else a busy machine does at the time, in one of them."""


class Hashes:
    """Counts the argon2id that are computed in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.amount = 0
        kdf = nacl.pwhash.argon2id.kdf

        def counted(*args: object, **named: object) -> bytes:
            self.amount += 1
            return kdf(*args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(nacl.pwhash.argon2id, "kdf", counted)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Hashes:
    return Hashes(monkeypatch)


def test_every_answer_is_the_same_to_the_octet(tmp_path: Path) -> None:
    async def story(hall: Hall) -> None:
        said: dict[str, list[Said]] = {}
        for kind, number in KINDS.items():
            msisdn = await number(hall)
            said[kind] = [await hall.enter(msisdn, WRONG) for _ in range(ENTRIES)]
        assert [one.status for one in said["wrong"]] == [403, 403, 429, 429, 429]
        assert b'"attempts_left":2' in said["wrong"][0].body
        for kind in KINDS:
            assert [one.same() for one in said[kind]] == [one.same() for one in said["wrong"]], kind

    visit(tmp_path, story)


def test_the_right_code_of_a_number_that_left_is_answered_as_a_wrong_one(tmp_path: Path) -> None:
    async def story(hall: Hall) -> None:
        wrong = await hall.enter(await hall.active(), WRONG)
        assert (await hall.enter(await hall.inactive(), CODE)).same() == wrong.same()
        assert (await hall.enter(await hall.active(), CODE)).status == 201

    visit(tmp_path, story)


def test_every_entry_is_the_same_work(tmp_path: Path, hashes: Hashes) -> None:
    async def story(hall: Hall) -> None:
        worked: dict[str, list[tuple[int, Counter[str]]]] = {}
        for kind, number in KINDS.items():
            msisdn = await number(hall)
            worked[kind] = []
            for _ in range(ENTRIES):
                hashes.amount = 0
                hall.store.calls.clear()
                await hall.enter(msisdn, WRONG)
                worked[kind].append((hashes.amount, Counter(hall.store.calls)))
        assert [amount for amount, _ in worked["wrong"]] == [1, 1, 1, 0, 0]
        assert worked["wrong"][0][1]["commit"] == 2  # reserve, settle
        assert worked["unknown"] == worked["inactive"] == worked["wrong"]

    visit(tmp_path, story)


def test_every_entry_takes_the_same_time(tmp_path: Path) -> None:
    async def story(hall: Hall) -> None:
        async def batch() -> Times:
            numbers = {kind: [await number(hall) for _ in range(SAMPLES)] for kind, number in KINDS.items()}
            times: Times = {kind: [] for kind in KINDS}
            for at in range(SAMPLES):  # in turn, so that whatever else the machine does meets all alike
                for kind in KINDS:
                    times[kind].append((await hall.enter(numbers[kind][at], WRONG)).took)
            return times

        await _measure_alike(batch)

    visit(tmp_path, story)


def test_a_closed_number_takes_the_same_time_whosever_it_is(tmp_path: Path) -> None:
    async def story(hall: Hall) -> None:
        numbers = {kind: await number(hall) for kind, number in KINDS.items()}
        for msisdn in numbers.values():
            for _ in range(3):
                await hall.enter(msisdn, WRONG)

        async def batch() -> Times:
            times: Times = {kind: [] for kind in KINDS}
            for _ in range(SAMPLES):
                for kind, msisdn in numbers.items():
                    said = await hall.enter(msisdn, WRONG)
                    assert said.status == 429
                    times[kind].append(said.took)
            return times

        await _measure_alike(batch)

    visit(tmp_path, story)


def test_a_number_that_is_not_verified_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(hall: Hall) -> None:
        check = hall.vault.check

        def careless(sealed: object, *rest: object) -> Checked:
            return Checked(False, b"") if sealed is None else check(sealed, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(hall.vault, "check", careless)

        async def batch() -> Times:
            times: Times = {"unknown": [], "wrong": []}
            for _ in range(SAMPLES):
                for kind in times:
                    times[kind].append((await hall.enter(await KINDS[kind](hall), WRONG)).took)
            return times

        with pytest.raises(AssertionError):
            await _measure_alike(batch)

    visit(tmp_path, story)


def test_an_order_of_a_code_is_the_same_for_any_number(tmp_path: Path, hashes: Hashes) -> None:
    async def story(hall: Hall) -> None:
        numbers = {kind: await number(hall) for kind, number in KINDS.items()}
        numbers["locked"] = await hall.active()
        for _ in range(3):
            await hall.enter(numbers["locked"], WRONG)
        numbers["ordered too often"] = await hall.active()
        for _ in range(6):
            await hall.order_code(numbers["ordered too often"])
        said, work = {}, {}
        hashes.amount = 0
        for kind, msisdn in numbers.items():
            hall.store.calls.clear()
            said[kind] = (await hall.order_code(msisdn)).same()
            work[kind] = Counter(hall.store.calls)
        assert said["wrong"][0] == 202
        assert all(one == said["wrong"] for one in said.values())
        assert all(one == work["wrong"] for one in work.values())
        assert hashes.amount == 0

    visit(tmp_path, story)


async def _measure_alike(batch: Callable[[], Awaitable[Times]]) -> None:
    """Fail where the kinds differ in every one of several batches."""
    for left in reversed(range(BATCHES)):
        try:
            _assert_alike(await batch())
        except AssertionError:
            if not left:
                raise
        else:
            return


def _assert_alike(times: Times) -> None:
    for one, other in combinations(times, 2):
        share = _exceeds(times[one], times[other])
        assert SAME_ORDER[0] <= share <= SAME_ORDER[1], f"{one} takes longer than {other} in {share:.0%}"
        ratio = statistics.median(times[one]) / statistics.median(times[other])
        assert 1 / SAME_MEDIAN <= ratio <= SAME_MEDIAN, f"{one} takes {ratio:.2f} of {other}"


def _exceeds(these: Sequence[float], those: Sequence[float]) -> float:
    """Return how often one of these is more than one of those, ties by half (Mann and Whitney's U, as a share)."""
    return sum((a > b) + (a == b) / 2 for a in these for b in those) / (len(these) * len(those))
