"""What the guide for authors shows can be done as it is shown."""

import re
from pathlib import Path

from menus.compiler import compile_flow
from menus.scenario import transcript
from tests.test_flows import FLOWS, fits
from ussd_server.turns.service import REGISTRY

GUIDE = (Path(__file__).parents[1] / "docs" / "authors.md").read_text("utf-8")


def block(after: str) -> str:
    """Return the first block of code below a heading."""
    found = re.search(r"```\w*\n(.*?)```", GUIDE[GUIDE.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_the_golden_conversation_of_the_guide_is_what_the_shipped_flow_says():
    flow = compile_flow(FLOWS.read_bytes(), "flows.yaml", REGISTRY)
    written = block("## Keep it as it is")
    assert transcript(written, flow, fits) == written


def test_the_new_screen_of_the_guide_can_be_reached_by_its_option_its_code_and_its_keyword():
    shipped = FLOWS.read_text("utf-8")
    option, node = re.findall(r"^      - .*shops}$|^  shops:\n.*\n", block("## Add an option"), re.MULTILINE)
    entries = block("## Reach a screen directly")
    last = "        to: order_code\n"
    assert shipped.count(last) == 1
    changed = shipped.replace(last, f"{last}{option}\n").replace("\nnodes:\n", f"\nnodes:\n{node}\n")
    changed = changed.replace("\nentries:\n", f"\n{entries}")
    flow = compile_flow(changed, "flows.yaml", REGISTRY)
    said = "> dial *111*8#\n> dial *111*77#\n> text 111 САЛОНЫ\n"
    for given in ("given active\n", "given not active\n"):
        assert transcript(given + said, flow, fits).count("Салоны: Тверская 1") == 3


def test_the_text_for_a_terminal_of_the_guide_is_the_shipped_one():
    assert block("## Say it differently at a terminal") in FLOWS.read_text("utf-8")


def test_a_text_written_for_latin_letters_is_taken_instead_of_the_transliteration():
    node = block("## Change a text")
    shipped = FLOWS.read_text("utf-8")
    changed = re.sub(r"  language_set:\n(?:    .*\n)+", node.replace("\\", ""), shipped)
    assert changed != shipped
    flow = compile_flow(changed, "flows.yaml", REGISTRY)
    assert "Teper po-russki." in transcript("given language is ru-Latn\n> dial *111*5*3#\n", flow, fits)
