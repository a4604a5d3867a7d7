"""A USSD screen is as large as every one of its gateways takes."""

from pathlib import Path

from ussd_server.channels.ussd import smallest


def test_a_screen_holds_what_every_gateway_takes(tmp_path: Path) -> None:
    small, narrow = tmp_path / "small.yaml", tmp_path / "narrow.yaml"
    small.write_text("base: standard\ntext: {septets: 100}\n", encoding="utf-8")
    narrow.write_text("base: standard\ntext: {ucs2_units: 60}\n", encoding="utf-8")
    fits = smallest(182, 70, ["tata", str(small), str(narrow)]).fits
    assert fits is not None
    texts = ("x" * 100, "x" * 101, "ж" * 60, "ж" * 61)
    assert [fits(text) for text in texts] == [True, False, True, False]
    fits = smallest(182, 70, ["tata"]).fits
    assert fits is not None
    assert [fits(text) for text in ("x" * 182, "x" * 183, "ж" * 70, "ж" * 71)] == [True, False, True, False]
