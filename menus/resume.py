"""A session whose dialogue was cut off: whether it goes on where it was, if need be by asking the subscriber."""

import msgspec

from menus.accept import plain
from menus.conditions import Facts
from menus.events import Option, Reply, Screen
from menus.flow import Flow
from menus.limits import MAX_INPUT
from menus.machine import START
from menus.nodes import SILENT
from menus.own_texts import close
from menus.render import Channel
from menus.session import Session
from menus.standing import foreign
from menus.steps import Step
from menus.walk import under_way


def dropped(flow: Flow, session: Session | None, now: int) -> Step:
    """Keep a session whose dialogue was cut off, where the node at which it stands allows to go on from there."""
    if session is None or session.asked:
        return Step(session)
    if foreign(flow, session) or _manner(flow, session) == "restart":
        return Step(None)
    return Step(msgspec.structs.replace(session, dropped=True, at=now))


def policy(flow: Flow, session: Session, now: int) -> str:
    """Return what is done with a session whose entry is dialled again: "continue", "ask" or "restart"."""
    if not session.dropped or session.asked or foreign(flow, session) or now - session.at > flow.within:
        return "restart"
    return _manner(flow, session)


def ask_to_resume(flow: Flow, session: Session, facts: Facts, channel: Channel, reason: str = "") -> Step:
    """Show the question whether to go on; `reason` is the phrase that says why it is shown again."""
    language = flow.language(facts)

    def said(name: str) -> str:
        return flow.phrases[name].render(channel.name, language, {})

    options = (Option("1", said("resume_yes")), Option("2", said("resume_no")))
    screen = Screen(said("resume_question"), options, (), "choice", kind="menu")
    laid = flow.screens.any(screen, channel, language)
    show = flow.screens.with_reason(laid, 0, said(reason), channel, language) if reason else laid.shows[0]
    return Step(session, (show,))


def wants_to_resume(flow: Flow, text: str) -> bool | None:
    """Return whether the subscriber wants to go on, None where the answer is neither."""
    text = plain(text).casefold()
    for key, name, meaning in (("1", "resume_yes", True), ("2", "resume_no", False)):
        labels = {flow.phrases[name].render("ussd", language, {}).casefold() for language in flow.languages}
        if text == key or text in labels:
            return meaning
    return None


def resumed(flow: Flow, session: Session, event: Reply, now: int, facts: Facts, channel: Channel) -> Step:
    """Take the answer to that question: go on, start at the entry that was dialled, or ask once more."""
    answer = wants_to_resume(flow, event.text[:MAX_INPUT])
    if answer is None:
        if session.tries + 1 >= under_way(flow, session, now, facts, channel).tries_allowed():
            return close(flow, "gave_up", facts, channel)
        again = msgspec.structs.replace(session, tries=session.tries + 1, at=now)
        return ask_to_resume(flow, again, facts, channel, "invalid")
    if answer:
        return under_way(flow, session, now, facts, channel).show_again()
    fresh = Session(session.id, flow.revision, channel.name, START, now, serial=session.serial)
    return under_way(flow, fresh, now, facts, channel).begin(session.instead, {})


def _manner(flow: Flow, session: Session) -> str:
    node = flow.nodes[session.node]
    return "restart" if isinstance(node, SILENT) else node.manner.resume
