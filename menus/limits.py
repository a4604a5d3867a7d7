"""The sizes that a flow and a session may have; each is far above what a service needs and low enough to stay quick.

They are promised in `docs/flow-language.md`. What is over a limit is a mistake at load, or cut at run time.
"""

from typing import Final

MAX_FILE_BYTES: Final = 500_000
"""Twenty times the shipped service; reading that much takes some seconds."""
MAX_DEPTH: Final = 12
"""How deep a flow file's lists and mappings may nest; the language itself needs seven."""
MAX_NODES: Final = 500
MAX_ENTRIES: Final = 200
MAX_OPTIONS: Final = 50
MAX_TEXT: Final = 1_000
"""Characters of one text in one language."""
MAX_NAMES: Final = 32
"""Names of values that a flow may bind."""
MAX_STEPS: Final = 16
"""Nodes between two screens."""
MAX_TRAIL: Final = 32
MAX_TAIL: Final = 16
"""Inputs given in advance in a dialled code."""
MAX_ITEMS: Final = 100
MAX_VALUES_BYTES: Final = 16 * 1024
"""What a session's values and way back may take in MessagePack."""
MAX_INPUT: Final = 1_000
"""Characters of an input; ten times what a USSD answer can hold."""
SMS_WAITS_MS: Final = 24 * 3_600_000
"""For how long an SMS conversation waits for its answer; what comes later is taken as a new text."""
