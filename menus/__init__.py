"""The conversation engine: a YAML menu tree compiled to state machines, stepped by pure functions.

Nothing here does I/O, reads a clock or draws a random number; times, ids and the outside's answers are arguments.
"""
