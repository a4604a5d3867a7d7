"""In real Chromium phones are added and removed, with what is wrong with a number said beside it."""

import pytest
from playwright.sync_api import expect

from tests.ussd_server.simulator.web.stage import ONE, TWO, Opener, button, phone, said_of
from ussd_server.simulator import smsc

pytestmark = pytest.mark.browser


def test_what_is_wrong_with_a_new_phone_is_said_beside_its_number(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smsc, "MOST_PHONES", 3)
    here, there = opened(locale="en-US"), opened(locale="en-US")
    number, add = here.get_by_label("Number, digits only"), here.get_by_role("button", name="Add")

    def refused(typed: str, why: str) -> None:
        number.fill(typed)
        add.click()
        expect(said_of(number)).to_have_text(why)
        below, field_box = said_of(number).bounding_box(), number.bounding_box()
        assert below is not None
        assert field_box is not None
        assert 0 <= below["y"] - (field_box["y"] + field_box["height"]) < 20
        expect(here.locator("#notice")).to_be_hidden()

    refused("12", "A phone number has 5 to 15 digits.")
    refused(ONE, "This phone is here already.")
    number.fill("79100000003")
    expect(said_of(number)).to_be_hidden()
    add.click()
    expect(phone(here, "79100000003")).to_be_visible()
    expect(number).to_have_value("")
    refused("79100000004", "No more phones can be added.")
    expect(number).to_have_value("79100000004")
    expect(said_of(there.get_by_label("Number, digits only"))).to_be_hidden()
    button(phone(there, TWO), "Remove the phone +7 910 000-00-02").click()
    expect(phone(here, TWO)).to_have_count(0)
    add.click()
    expect(phone(here, "79100000004")).to_be_visible()
    expect(said_of(number)).to_be_hidden()
    number.press_sequentially("79x")
    expect(number).to_have_value("79")
    expect(said_of(number)).to_have_text("Digits only.")
