"""What was set aside is told once, until it is gone."""

from structlog.testing import capture_logs

from ussd_server.stores.redis.aside import Aside


def test_each_key_is_told_once_until_it_is_gone() -> None:
    aside = Aside("the store redis://localhost")
    told: list[list[str]] = []
    for keys in ([], [b"a"], [b"a"], [b"a", b"\xff"], [b"a"], [], [b"a"]):
        with capture_logs() as logs:
            aside.saw(3, keys)
            aside.saw(4, [])
            aside.saw(3, None)
        assert all(line["log_level"] == "error" and "DEL" in line["mend"] for line in logs)
        told.append([line["key"] for line in logs])
    assert told == [[], ["a"], [], ["\N{REPLACEMENT CHARACTER}"], [], [], ["a"]]
