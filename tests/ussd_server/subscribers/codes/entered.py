"""Codes that were issued, and entries of them, right and wrong."""

from tests.ussd_server.subscribers.clerk import SEALED
from ussd_server.subscribers.codes import Access, Issued, Reserved, SealedCode, Settled, issue, reserve, settle

NOW = 1_763_881_200_000
FRESH = Access()


def issued(access: Access = FRESH, now: int = NOW, sealed: SealedCode = SEALED) -> Access:
    outcome = issue(access, sealed, access.generation + 1, now)
    assert isinstance(outcome, Issued)
    return outcome.access


def reserved(access: Access, now: int = NOW, name: str = "r") -> Access:
    outcome = reserve(access, name, now)
    assert isinstance(outcome, Reserved)
    return outcome.access


def entered(access: Access, right: bool, now: int = NOW) -> Settled:
    return settle(reserved(access, now), "r", right, now)


def wrong(access: Access, times: int, now: int = NOW) -> Access:
    for _ in range(times):
        access = entered(access, False, now).access
    return access
