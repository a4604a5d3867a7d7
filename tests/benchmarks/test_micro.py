"""What is measured piece by piece is what the server does: the paths lead to the screens that they must."""

from benchmarks.micro import Conversation


def test_the_path_of_the_engine_leads_to_its_screens() -> None:
    Conversation().play()
