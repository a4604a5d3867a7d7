"""Every page fits its channel; nothing of a screen is lost, split, repeated or moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.events import Option, Screen
from menus.render import MAX_PAGES, Channel, Labels, Page, briefer, paginate
from smpp.alphabets import septets, ucs2_units

LABELS = Labels(Option("0", "Назад"), Option("9", "Далее"))
LATIN = Labels(Option("0", "Back"), Option("9", "More"))
KNOWN = Labels(LABELS.back, LABELS.more, "00")
WAY = (Option("0", "Назад"), Option("00", "Меню"))


def ussd(octets: int = 160) -> Channel:
    """A USSD channel of so many octets: 160 are 182 septets or 80 UCS-2 units."""

    def fits(text: str) -> bool:
        count = septets(text)
        return count * 7 <= octets * 8 if count is not None else ucs2_units(text) * 2 <= octets

    return Channel("ussd", fits)


USSD = ussd()
TERMINAL = Channel("terminal")


def numbered(*labels: str) -> tuple[Option, ...]:
    return tuple(Option(str(number), label) for number, label in enumerate(labels, 1))


def lines(page: Page) -> list[str]:
    return page.text.split("\n")


def test_a_screen_that_fits_is_one_page_text_then_options_then_navigation():
    screen = Screen("Тарифы", numbered("MAXI", "Классный"), WAY)
    (page,) = paginate(screen, USSD, LABELS)
    assert page == Page("Тарифы\n1. MAXI\n2. Классный\n0. Назад\n00. Меню", screen.options, WAY, "")


def test_a_channel_without_a_limit_has_one_page_whatever_its_length():
    (page,) = paginate(Screen("слово " * 500, numbered(*["тариф"] * 50)), TERMINAL, LABELS)
    assert len(page.options) == 50
    assert page.more == ""


def test_options_move_to_the_next_page_whole_and_keep_their_numbers():
    screen = Screen("Тарифы", numbered(*["Много звонков+"] * 8), WAY)
    pages = paginate(screen, USSD, LABELS)
    assert [option.key for page in pages for option in page.options] == list("12345678")
    assert all("Много звонков+" in line for page in pages for line in lines(page) if line[:1] in "12345678")
    assert lines(pages[0])[-1] == "9. Далее"
    assert lines(pages[-1])[-1] == "00. Меню"


def test_the_first_page_has_only_its_own_navigation_and_later_ones_lead_back():
    pages = paginate(Screen("Тарифы", numbered(*["Много звонков+"] * 8)), USSD, LABELS)
    assert [option.key for option in pages[0].navigation] == ["9"]
    assert [option.key for option in pages[1].navigation] == ["0", "9"]
    assert [option.key for option in pages[-1].navigation] == ["0"]


def test_back_is_not_offered_twice():
    pages = paginate(Screen("Тарифы", numbered(*["Много звонков+"] * 8), WAY), USSD, LABELS)
    assert [option.key for option in pages[1].navigation] == ["0", "00", "9"]


@pytest.mark.parametrize(("count", "key"), [(8, "9"), (9, "99"), (50, "99")])
def test_more_takes_a_key_that_no_option_has(count: int, key: str):
    pages = paginate(Screen("Тарифы", numbered(*["Много звонков"] * count)), USSD, LABELS)
    assert {page.more for page in pages[:-1]} == {key}
    assert pages[-1].more == ""


def test_a_long_body_is_broken_between_words_and_its_options_come_after_it():
    body = "Тариф для тех, кто много говорит с близкими людьми по вечерам и в выходные дни, не думая о минутах"
    pages = paginate(Screen(body, numbered("Подключить"), WAY), USSD, LABELS)
    said = [line for page in pages for line in lines(page) if line[0] not in "0129"]
    assert " ".join(said) == body
    assert pages[-1].options == numbered("Подключить")


def test_a_number_stays_with_the_word_after_it():
    body = "Длинные разговоры с 26 ноября. Переход: 90 руб., в месяц: 1 450 руб. Останется 99 руб."
    first, *_ = paginate(Screen(body, numbered("Да", "Нет"), WAY), USSD, LABELS)
    assert lines(first)[0] == "Длинные разговоры с 26 ноября. Переход: 90 руб., в"
    first, *_ = paginate(Screen("Код " + "12 345 " * 20, (), WAY), USSD, LABELS)
    assert len(lines(first)[0]) > 40


def test_a_sentence_that_would_begin_low_on_a_page_begins_the_next_one():
    body = "Длинные разговоры с 26 ноября: 90 руб., 0 руб./мес. Останется 1 401,50 руб."
    first, second = paginate(Screen(body, numbered("Да", "Нет")), USSD, LABELS)
    assert lines(first)[0] == "Длинные разговоры с 26 ноября: 90 руб., 0 руб./мес."
    assert lines(second) == ["Останется 1 401,50 руб.", "1. Да", "2. Нет", "0. Назад"]
    first, *_ = paginate(Screen("Звонки. " + "Архивный тариф: 300 мин. в месяц " * 3), USSD, LABELS)
    assert lines(first)[0].endswith("300 мин. в")


def test_a_word_longer_than_a_page_is_broken_inside():
    pages = paginate(Screen("ы" * 200), USSD, LABELS)
    assert "".join(lines(page)[0] for page in pages) == "ы" * 200


def test_a_label_longer_than_a_page_is_cut_with_an_ellipsis():
    pages = paginate(Screen("Услуги", numbered("ы" * 100, "АОН"), WAY), USSD, LABELS)
    (cut,) = [line for page in pages for line in lines(page) if line.startswith("1.")]
    assert cut.endswith("ы…")
    assert len(cut) > 40
    latin = paginate(Screen("Services", numbered("y" * 300)), USSD, LATIN)
    assert any(line.startswith("1. y") and line.endswith("y...") for line in lines(latin[-1]))


def test_the_last_option_of_all_offers_no_empty_page_after_it_even_when_cut():
    pages = paginate(Screen("", numbered("ы" * 100)), USSD, LABELS)
    assert len(pages) == 1
    assert pages[0].more == ""


def test_on_a_very_small_page_navigation_is_keys_only_and_still_all_is_shown():
    pages = paginate(Screen("Много звонков", numbered("Да", "Нет"), WAY), ussd(26), LABELS)
    assert lines(pages[0])[-1] in ("0 00 9", "9")
    assert [option.key for page in pages for option in page.options] == ["1", "2"]


def test_a_page_too_small_for_a_letter_is_an_error_of_the_account():
    with pytest.raises(ValueError, match="too small"):
        paginate(Screen("Много звонков"), ussd(2), LABELS)
    with pytest.raises(ValueError, match="too small"):
        paginate(Screen("", numbered("Да")), ussd(1), LABELS)


def test_pages_are_bounded_and_the_last_one_ends():
    pages = paginate(Screen("слово " * 5000), USSD, LABELS)
    assert len(pages) == MAX_PAGES
    assert pages[-1].more == ""
    assert all(USSD.fits(page.text) for page in pages)


# One alphabet a text, and texts that mix them: septets, extension characters, UCS-2, surrogate pairs.
LETTERS = st.sampled_from(["abc XYZ", "aé£ñ 12", "a{}[]€ ", "абв ъыь", "a б 🙂\n"]).flatmap(st.sampled_from)
TEXTS = st.text(LETTERS | st.sampled_from("aя 🙂€\n"), max_size=400)
WORDS = st.text(LETTERS, min_size=1, max_size=120).map(lambda text: " ".join(text.split()) or "x")


@given(
    TEXTS, st.lists(WORDS, max_size=30), st.booleans(), st.integers(40, 200), st.sampled_from([LABELS, LATIN, KNOWN])
)
def test_nothing_is_lost_split_repeated_or_too_long(text, labels, way, octets, ends):
    channel = ussd(octets)
    screen = Screen(text, numbered(*labels), WAY if way else ())
    pages = paginate(screen, channel, ends)
    assert all(channel.fits(page.text) for page in pages)
    assert tuple(option for page in pages for option in page.options) == screen.options
    assert all(page.more for page in pages[:-1])
    assert pages[-1].more == ""
    assert "".join("".join(body_of(page) for page in pages).split()) == "".join(text.split())
    for page in pages:
        for option, line in zip(page.options, option_lines(page), strict=True):
            whole = f"{option.key}. {option.label}"
            # Only a line that cannot stand beside the shortest navigation may have been cut.
            shortest = "\n".join([whole, page.more or "".join(o.key for o in page.navigation[-1:])]).strip()
            assert line == whole or (not channel.fits(shortest) and whole.startswith(line.rstrip(".…").rstrip()))


def ending_of(page: Page) -> int:
    """How many lines at the end of a page are navigation, whole or as keys."""
    whole = [f"{option.key}. {option.label}" for option in page.navigation]
    tail = lines(page)
    return len(whole) if tail[len(tail) - len(whole) :] == whole else 1


def option_lines(page: Page) -> list[str]:
    tail = lines(page)
    end = len(tail) - ending_of(page) if page.navigation else len(tail)
    return tail[end - len(page.options) : end]


def body_of(page: Page) -> str:
    tail = lines(page)
    end = len(tail) - ending_of(page) if page.navigation else len(tail)
    return "\n".join(tail[: end - len(page.options)])


def test_a_brief_page_keeps_all_but_the_labels_of_its_navigation():
    (page,) = paginate(Screen("Тарифы", numbered("MAXI"), WAY), USSD, LABELS)
    assert [*briefer(page)] == [page.text, "Тарифы\n1. MAXI\n0 00"]
    (plain,) = paginate(Screen("Баланс"), USSD, LABELS)
    assert [*briefer(plain)] == ["Баланс"]


def test_the_label_of_more_is_the_last_that_a_brief_page_gives_up():
    page, *_ = paginate(Screen("Тарифы", numbered(*["Много звонков+"] * 8), WAY), USSD, LABELS)
    above = page.text.removesuffix("0. Назад\n00. Меню\n9. Далее")
    assert [*briefer(page)] == [page.text, f"{above}0 00\n9. Далее", f"{above}0 00 9"]
    alone, *_ = paginate(Screen("Тарифы", numbered(*["Много звонков+"] * 8)), USSD, LABELS)
    assert [*briefer(alone)][1] == alone.text


def test_navigation_known_by_heart_is_shown_by_a_screen_of_one_page_and_left_out_of_several():
    (page,) = paginate(Screen("Тарифы", numbered("MAXI"), WAY), USSD, KNOWN)
    assert lines(page)[-2:] == ["0. Назад", "00. Меню"]
    pages = paginate(Screen("Тарифы", numbered(*["Много звонков+"] * 8), WAY), USSD, KNOWN)
    assert {option.key for page in pages for option in page.navigation} == {"0", "9"}
    assert pages[0].text == "Тарифы\n1. Много звонков+\n2. Много звонков+\n3. Много звонков+\n0. Назад\n9. Далее"


def test_a_screen_that_fits_one_page_without_that_navigation_needs_no_second_one():
    screen = Screen("ы" * 50, numbered("Подключить"), WAY)
    assert len(paginate(screen, USSD, LABELS)) == 2
    (page,) = paginate(screen, USSD, KNOWN)
    assert lines(page)[1:] == ["1. Подключить", "0. Назад"]
