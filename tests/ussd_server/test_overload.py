"""Whoever watches a server learns when it began to refuse, what, and when that was over."""

from structlog.testing import capture_logs

from ussd_server.metrics import Metrics
from ussd_server.overload import CALM_S, Overload
from ussd_server.turns.admission import Admission, Kind


def watched() -> tuple[Admission, Overload, Metrics]:
    admission, metrics = Admission(100), Metrics()
    return admission, Overload(admission, lambda: 7, lambda: {"a": 0.2}, metrics), metrics


def test_beginning_and_end_are_logged_once_with_what_was_refused() -> None:
    admission, overload, _ = watched()
    with capture_logs() as logs:
        overload.tick(0.0)
        for second in range(1, 8):
            admission.refuse(Kind.DIALOGUE)
            admission.refuse(Kind.SMS)
            overload.tick(float(second))
        for second in range(8, 40):
            overload.tick(float(second))
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "overload, what is new is refused"),
        ("info", "overload is over"),
    ]
    assert (logs[0]["turns_under_way"], logs[0]["screens_delay_ms"]) == (7, {"a": 200})
    assert (logs[1]["lasted_seconds"], logs[1]["refused"]) == (6.0, {"dialogue": 7, "sms": 7})


def test_a_refusal_now_and_then_is_one_overload() -> None:
    admission, overload, _ = watched()
    with capture_logs() as logs:
        for at in range(50):
            if at % int(CALM_S - 1) == 0:
                admission.refuse(Kind.DIALOGUE)
            overload.tick(float(at))
    assert len(logs) == 1


def test_what_was_told_is_not_told_again() -> None:
    admission, overload, _ = watched()
    with capture_logs() as logs:
        for at in (0.0, 2 * CALM_S, 4 * CALM_S):
            admission.refuse(Kind.DIALOGUE)
            overload.tick(at)
            overload.tick(at + CALM_S)
    assert [line["refused"] for line in logs if "refused" in line] == [{"dialogue": 1}] * 3


def test_a_visit_is_asked_for_and_counted() -> None:
    admission, overload, metrics = watched()
    assert overload.admits_visit()
    admission.limit = 0
    assert not overload.admits_visit()
    assert metrics.shed()["visit"] == 1


def test_a_subscriber_who_sends_too_much_is_counted_and_is_no_overload() -> None:
    admission, overload, metrics = watched()
    admission.crowd()
    with capture_logs() as logs:
        overload.tick(1.0)
    assert logs == []
    assert metrics.shed()["one_subscriber"] == 1


def test_the_numbers_are_shown() -> None:
    admission, _, metrics = watched()
    admission.begun()
    admission.refuse(Kind.DIALOGUE)
    samples = {
        (sample.name, sample.labels.get("kind", "")): sample.value
        for family in metrics.registry().collect()
        for sample in family.samples
    }
    assert samples["ussd_server_turns_waiting", ""] == 1
    assert samples["ussd_server_turns_limit", ""] == 100
    assert samples["ussd_server_turns_under_way", ""] == 7
    assert samples["ussd_server_standing_delay_seconds", ""] == 0
    assert samples["ussd_server_shed_total", "dialogue"] == 1
    assert samples["ussd_server_shed_total", "visit"] == 0
