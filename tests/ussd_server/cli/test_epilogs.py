"""An example of a help text can be copied from a terminal of 80 columns, however long it is."""

import re
import shlex

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.cli.epilogs import WIDTH, examples, options, store_options

WORDS = st.one_of(
    st.from_regex(r"[a-z0-9:/@.=?&*#-]{1,60}", fullmatch=True),
    st.from_regex(r"'[a-z :/?&\\]{0,50}'", fullmatch=True),
    st.from_regex(r'"[a-z :/?&]{0,50}"', fullmatch=True),
)


def plain(text: str) -> list[str]:
    """Return a block's lines without its title, as they are shown."""
    return re.sub(r"\[/?(bold)?\]", "", text).lstrip("\n").splitlines()[1:]


@given(st.lists(WORDS, min_size=1, max_size=12))
def test_a_folded_command_is_the_same_command(words: list[str]) -> None:
    command = " ".join(words)
    lines = plain(examples(command))
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
    assert all(line.startswith("  ") for line in lines)


def test_a_long_command_is_folded_where_it_can_be_read() -> None:
    long = "ussd-server store copy sqlite:///var/ussd-server.db 'redis://redis.example/0?prefix=kiosk' --while-running"
    assert plain(examples("ussd-server demo", long)) == [
        "  ussd-server demo",
        "  ussd-server store copy sqlite:///var/ussd-server.db \\",
        "      'redis://redis.example/0?prefix=kiosk' --while-running",
    ]


def test_what_is_explained_fits_and_hangs_together() -> None:
    listed = plain(options("Options", [("key", "FILE", "word " * 40), ("b", "0", "short")]))
    assert listed[0].startswith("  key=FILE: word")
    assert listed[1].startswith("      word")
    assert listed[-1] == "  b=0: short"
    assert max(map(len, [*listed, *plain(store_options())])) <= WIDTH
