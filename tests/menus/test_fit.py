"""What the engine and the server say themselves fits one screen: found when a flow is loaded, cut where it was not."""

import pytest

from menus.compiler import compile_flow
from menus.own_texts import say
from menus.render import Channel
from menus.schema import FlowErrors
from tests.menus.small import REGISTRY

SMALL_SCREEN = Channel("ussd", lambda text: len(text) <= 20)

FLOW = """
service: fit
languages: [ru, en]
timezone: Europe/Moscow
currency: {code: RUB, digits: 2, ru: "{amount} руб.", en: "{amount} RUB", free: {ru: бесплатно, en: free}}
home: main
texts:
  unknown_code:
    ussd: {ru: Нет кода., en: No such code.}
    other: {ru: Такой команды у нас совсем нет., en: There is no such command here.}
  overload: {ru: Позже., en: Later.}
entries:
  - {ussd: "*1#", to: main}
nodes:
  main:
    end: {ru: Всё., en: That is all.}
"""


def test_a_text_is_said_as_its_channel_has_it() -> None:
    flow = compile_flow(FLOW, "fit.yaml", REGISTRY)
    assert say(flow, "unknown_code", {}, "en", Channel("ussd")) == "No such code."
    assert say(flow, "unknown_code", {}, "en") == "There is no such command here."


def test_a_text_that_is_too_long_for_one_screen_is_cut_rather_than_lost() -> None:
    flow = compile_flow(FLOW.replace("No such code.", "There is no such code here."), "fit.yaml", REGISTRY)
    said = say(flow, "unknown_code", {}, "en", SMALL_SCREEN)
    assert SMALL_SCREEN.fits is not None
    assert SMALL_SCREEN.fits(said)
    assert said.startswith("There is no")


@pytest.mark.parametrize(
    ("found", "instead", "what"),
    [
        ("en: Later.", "en: Much later than you think.", "'overload' does not fit one USSD screen in 'en'"),
        ("ru: Нет кода.", "ru: Такого кода у нас нет.", "'unknown_code' does not fit one USSD screen in 'ru'"),
    ],
)
def test_a_text_that_is_too_long_is_a_mistake_in_the_flow(found: str, instead: str, what: str) -> None:
    with pytest.raises(FlowErrors) as mistakes:
        compile_flow(FLOW.replace(found, instead), "fit.yaml", REGISTRY, SMALL_SCREEN.fits)
    assert any(what in str(problem) for problem in mistakes.value.problems)


def test_texts_that_go_by_sms_alone_may_be_longer() -> None:
    longer = "texts:\n  unknown_sms: {ru: Команда не понята нами., en: We know no such word.}\n"
    with pytest.raises(FlowErrors) as mistakes:
        compile_flow(FLOW.replace("texts:\n", longer), "fit.yaml", REGISTRY, SMALL_SCREEN.fits)
    assert not any("unknown_sms" in str(problem) for problem in mistakes.value.problems)
