"""A flow file, checked as a whole and made ready to run.

The schema has judged each key by itself; here is what needs two places to judge. First all entries and nodes are read
for where they lead and what they bind. Then it is known which values are there at each node, and the texts, calls and
conditions are made against them.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

from menus import schema
from menus.compiler.calls import Calls
from menus.compiler.conditions import Conditions
from menus.compiler.entries import read_entries
from menus.compiler.graph import check_graph, judged
from menus.compiler.head import read_availability, read_style
from menus.compiler.names import check_names, names_given, secret_names
from menus.compiler.nodes import Nodes
from menus.compiler.outlines import Outlines
from menus.compiler.phrases import check_fit, read_phrases
from menus.compiler.report import Report
from menus.compiler.scope import Scope
from menus.compiler.unread import check_unread
from menus.compiler.ways import Ways
from menus.compiler.wordings import Wordings
from menus.flow import Flow
from menus.graph import bound
from menus.machine import START
from menus.nodes import build_moves
from menus.registry import Registry
from menus.screens import Screens
from menus.source import Source
from menus.style import Style


def compile_flow(source: str | bytes, name: str, registry: Registry, fits: Callable[[str], bool] | None = None) -> Flow:
    """Check a flow file and make it ready; raises `FlowErrors` with every mistake in it. `name` is put before each.

    `fits` measures the smallest screen that the flow will be shown on: a text that closes a dialogue has no further
    pages, so it must fit.
    """
    document = schema.load(source, name)
    report = Report(document.source)
    if document.head is None:
        raise report.errors()
    style = read_style(document.head, report)
    if style.languages.problems():
        # Without its languages nothing else can be judged.
        raise report.errors()
    flow = _flow(document, document.head, style, registry, report)
    if fits is not None and not report.count:
        check_fit(flow, fits, report)
    if report.count:
        raise report.errors()
    return flow


def _flow(document: schema.Document, head: schema.Head, style: Style, registry: Registry, report: Report) -> Flow:
    """Return the flow; it must not be run where there are problems."""
    ways = Ways(frozenset(head.nodes), report)
    entries = read_entries(document.entries, registry.terminal, ways, report)
    first = Outlines(registry.operations, ways, report)
    outlines = {name: first.outline(name, node) for name, node in document.nodes.items()}
    ways.target(head.home, ("home",))
    scope = _scope(document, head, ways, registry, report)
    wordings = Wordings(style, scope, report)
    conditions = Conditions(registry.facts, style.languages, scope)
    phrases = read_phrases(head.texts, style, wordings, report)
    second = Nodes(head, phrases, scope, wordings, conditions, Calls(scope, entries.pushes, report), report)
    nodes = {name: second.node(name, node, outlines[name]) for name, node in document.nodes.items()}
    check_unread(document, ways, conditions)
    availability = read_availability(head.availability, style.timezone, wordings, report)
    begins = [way.target for way in ways.found if way.source == START]
    pushes = {name: judged(push, document.nodes, ways.found) for name, push in entries.pushes.items()}
    return Flow(
        name=document.source.file,
        service=head.service,
        revision=_revision(document.source),
        style=style,
        registry=registry,
        nodes=nodes,
        moves=build_moves({}, [], head.home) if report.count else build_moves(nodes, begins, head.home),
        entries=replace(entries, pushes=pushes),
        phrases=phrases,
        home=head.home,
        within=schema.milliseconds(head.resume.within),
        secrets=scope.secrets,
        facts=frozenset(conditions.asked_for),
        screens=Screens(nodes, phrases, head.home),
        availability=availability,
    )


def _scope(document: schema.Document, head: schema.Head, ways: Ways, registry: Registry, report: Report) -> Scope:
    """Judge the graph and the names, and return which values are there at each node."""
    # Where something could not be read, what follows from its being missing is not worth telling.
    complete = not report.count
    if complete:
        check_graph(document, head.home, ways.found, report)
    secrets = secret_names(document.nodes)
    check_names(document.nodes, ways.found, secrets, registry.facts, report)
    keeps = [name for name, node in document.nodes.items() if isinstance(node, schema.Check)]
    values = bound(ways.found, [*head.nodes, head.home], head.home, secrets, keeps)
    unsure = frozenset[str]() if complete else frozenset(names_given(document.source.data))
    return Scope(values, ways.found, head.home, secrets, unsure, report)


def _revision(source: Source) -> str:
    """Return a short digest of what the file says; comments, layout and quotes do not count."""
    said = json.dumps(source.data, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:12]
