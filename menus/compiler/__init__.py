"""The compiler: a flow file, checked as a whole, becomes a `Flow`. Each module is one kind of thing that is checked."""

from menus.compiler.compile import compile_flow
from menus.flow import Flow
from menus.schema import FlowErrors

__all__ = ["Flow", "FlowErrors", "compile_flow"]
