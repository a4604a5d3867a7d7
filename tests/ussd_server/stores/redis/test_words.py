"""What Redis says is told with the mend that is right while the store mends itself."""

from ussd_server.stores.redis.wire import Refused
from ussd_server.stores.redis.words import plain


def test_where_another_programs_data_is_first_try_again_and_look_for_that_program_only_if_it_lasts() -> None:
    said = plain(Refused("WRONGTYPE Operation against a key holding the wrong kind of value"))
    now, _, then = said.partition("; if it lasts, ")
    assert "made anew" in now
    assert "try again" in now
    assert "prefix" not in now
    assert "?prefix=" in then
