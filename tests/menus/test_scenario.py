"""A written conversation is played with a flow alone, and says where what is read now differs from what is written."""

import pytest

from menus.scenario import ScenarioError, differences, transcript
from tests.menus.small import USSD, shop

FLOW = shop()
WRITTEN = """\
# A purchase, and a slow answer.
given active, language is en, age is 20
answer items: ok [{id: a, name: {ru: Чай, en: Tea}, price: 1000}]
answer quote: ok {price: 1000, starts: 2009-12-01}

> dial *1*1*1#
Tea costs 10 RUB
1. Buy
0. Back
00. Home

> reply 1
For 10 RUB, 1 December
1. Buy
2. No
0. Back
00. Home

> reply 1
Ordered
(end)

> outcome done {left: 500}
SMS:
Tea is yours. 5 RUB left
answer find: late

> dial *1*2*12#
In progress. The answer will come by SMS.
(end)
answer find: ok {id: a, name: {ru: Чай, en: Tea}, price: 1000}

> deliver
SMS:
Tea costs 10 RUB
1. Buy

> text 100 1
SMS:
For 10 RUB, 1 December
1. Buy
2. No

> text 100 ?
SMS:
Text here

> dial *1#
Shop
1. Goods
2. Number
3. Discount
4. PIN
5. Help

> terminal menu
Shop
1. Goods
2. Number
3. Discount
4. PIN
5. Help

> reply 5
Call us
(end)

> terminal buy {quote: {price: 1000, starts: 2009-12-01}}
Ordered
(end)

> outcome done {left: 500}
SMS:
Bought for 10 RUB

> drop

> wait 5 min

> dial *1#
Continue where you were?
1. Continue
2. Start again
"""


def test_a_conversation_that_is_as_it_is_written():
    assert transcript(WRITTEN, FLOW, USSD.fits) == WRITTEN
    assert differences(WRITTEN, FLOW, USSD.fits) == []


def test_only_what_is_said_and_done_matters_for_what_is_read():
    spoken = "\n".join(line for line in WRITTEN.split("\n") if line.startswith((">", "#", "given", "answer")))
    assert transcript(spoken, FLOW, USSD.fits) == WRITTEN


def test_a_difference_is_shown_with_what_is_read_now():
    changed = WRITTEN.replace("Tea is yours", "Tee is yours")
    lines = differences(changed, FLOW, USSD.fits)
    assert "-Tee is yours. 5 RUB left" in lines
    assert "+Tea is yours. 5 RUB left" in lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "> shout",
            "line 2: 'shout' is none of dial, terminal, push, reply, text, drop, wait, given, answer, deliver, outcome",
        ),
        ("given actve", "line 2: 'actve' is no fact; there are active, age, channel, language"),
        ("answer items: perhaps", "line 2: 'items: perhaps' is no answer: operation: outcome value"),
        ("> outcome done", "line 2: no order is open"),
        ("> terminal sell", "line 2: terminals do not enter by 'sell'; there are menu, buy"),
        ("> terminal buy", "line 2: 'buy' brings values: terminal buy {quote: {price: 1500, starts: 2009-12-01}}"),
        (
            "> terminal buy {quote: 5}",
            "line 2: 'buy' brings values: terminal buy {quote: {price: 1500, starts: 2009-12-01}}",
        ),
        ("Hello.\n> dial *1#", "line 2: nothing is said before this could be read; what is said begins with >"),
        ("> wait long", "line 2: 'long' is no time: wait 30 s, 10 min, 2 h, 1 d"),
    ],
)
def test_a_line_that_means_nothing_is_told(line: str, message: str):
    with pytest.raises(ScenarioError) as caught:
        transcript(f"# a test\n{line}\n", FLOW)
    assert str(caught.value) == message


def test_what_an_operation_answers_is_asked_for_with_a_line_that_can_be_copied():
    with pytest.raises(ScenarioError) as caught:
        transcript("> dial *1*7#", FLOW)
    said, _, line = str(caught.value).partition("a line before it does: ")
    assert said == "line 1: 'items' is asked, and nothing says what it answers; "
    assert line.startswith("answer items: ok [{id: id, name: {ru: name, en: name}, price: 1500")
    assert "1. name, 15" in transcript(f"{line}\n> dial *1*7#", FLOW)
