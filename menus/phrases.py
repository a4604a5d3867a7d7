"""What the engine and the server say themselves, in built-in words that a flow's `texts:` may change."""

from collections.abc import Mapping
from typing import Final

from menus.registry import Instant, Shape, Text

PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "back": {"ru": "Назад", "en": "Back"},
    "home": {"ru": "В начало", "en": "Home"},
    "more": {"ru": "Далее", "en": "More"},
    "yes": {"ru": "Да", "en": "Yes"},
    "no": {"ru": "Нет", "en": "No"},
    "invalid": {"ru": "Неверный ввод.", "en": "Invalid input."},
    "read_on": {"ru": "Дочитайте до конца: {key}.", "en": "Read to the end first: {key}."},
    "gave_up": {
        "ru": "Слишком много неверных вводов. Попробуйте позже.",
        "en": "Too many invalid inputs. Please try again later.",
    },
    "late": {"ru": "Запрос выполняется. Ответ придёт по SMS.", "en": "In progress. The answer will come by SMS."},
    "broken": {
        "ru": "Услуга временно недоступна. Попробуйте позже.",
        "en": "The service is not available now. Please try again later.",
    },
    "unsure": {
        "ru": "Неизвестно, выполнен ли запрос. Проверьте это, прежде чем повторить.",
        "en": "It is not known whether this was done. Please check before you try again.",
    },
    "expired": {"ru": "Сеанс устарел. Начните заново.", "en": "This session is over. Please start again."},
    "secret_in_dial": {
        "ru": "Секретный код нельзя набирать заранее.",
        "en": "A secret code cannot be dialled in advance.",
    },
    "resume_question": {"ru": "Продолжить с того же места?", "en": "Continue where you were?"},
    "resume_yes": {"ru": "Продолжить", "en": "Continue"},
    "resume_no": {"ru": "Начать сначала", "en": "Start again"},
    "order_done": {"ru": "Ваша заявка выполнена.", "en": "Your order is done."},
    "order_failed": {
        "ru": "Ваша заявка не выполнена, деньги не списаны.",
        "en": "Your order was not carried out; no money was taken.",
    },
    "unknown_code": {"ru": "Неверная команда.", "en": "Unknown code."},
    "unknown_sms": {"ru": "Неизвестная команда.", "en": "Unknown command."},
    "overload": {
        "ru": "Сейчас много запросов. Попробуйте через минуту.",
        "en": "Too many requests now. Please try again in a minute.",
    },
    "code_sms": {
        "ru": "Ваш код доступа: {code}. Никому его не сообщайте.",
        "en": "Your access code: {code}. Keep it secret.",
    },
    "access_locked_sms": {
        "ru": "Три неверных кода на терминале {terminal}. Доступ с терминалов закрыт до {until:time}. "
        "Если это не вы, закажите потом новый код.",
        "en": "Three wrong codes at terminal {terminal}. Terminal access is closed until {until:time}. "
        "If it was not you, order a new code then.",
    },
}

ADDED: Final = frozenset({"unsure"})
"""Texts that are newer than flows in other languages than these: where such a flow has none it says the English one."""

SMS_PHRASES: Final = frozenset({"access_locked_sms", "code_sms", "unknown_sms", "order_done", "order_failed"})
"""Texts that are sent by SMS alone, where there is room for more."""

PHRASE_VALUES: Final[Mapping[str, Mapping[str, Shape]]] = {
    "access_locked_sms": {"until": Instant(), "terminal": Text()},
    "code_sms": {"code": Text()},
    "read_on": {"key": Text()},
}
"""The values that a phrase may hold; all others hold none."""
