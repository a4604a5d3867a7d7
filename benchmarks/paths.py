"""What the dialogues of a run say, and what must be read on each screen for the run to count.

A path is a table. A screen that does not hold the expected words fails the run: an error screen is quick to make, and a
fast wrong answer must never look like a good measurement.
"""

from dataclasses import dataclass

MENU = 0x02  # ussd_service_op: USSR request, the dialogue goes on
END = 0x11  # ussd_service_op: PSSR response, the dialogue is over

SHORT_CODE = "111"
POLITE = "много запросов"
"""What a dialogue that cannot begin reads."""

FIXED_TEXT = "Услуги:\n1 Первая, 10 руб.\n2 Вторая, 20 руб.\n3 Третья, 30 руб.\n0 Назад"
"""What the yardstick answers, always: a screen of the usual size, in UCS-2."""


@dataclass(frozen=True)
class Step:
    """One input, and what its answer must be: the operation, and words that the screen holds."""

    said: str
    op: int
    shows: str


ACTIVATE = (Step("*111*2163#", END, "подключён"),)
OPEN = (Step("*111#", MENU, "Помощник"),)
TARIFFS = (
    Step("*111#", MENU, "Помощник"),
    Step("2", MENU, "Тарифы"),
    Step("1", MENU, ": 0 руб./мес. "),
    Step("0", MENU, "Тарифы"),
    Step("00", MENU, "Помощник"),
    Step("4", END, "Баланс: "),
)
FIXED = tuple(Step(said, MENU, "Вторая") for said in ("*111#", "2", "1", "0", "00", "4"))

PATHS = {"activate": ACTIVATE, "open": OPEN, "tariffs": TARIFFS, "fixed": FIXED}
