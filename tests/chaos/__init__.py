"""Crash tests: servers, store and SMSC are killed and hindered under load, and nothing acknowledged may be lost.

| module | what it is |
|---|---|
| `plan.py` | which fault when; a seed gives the same plan each time. Pure |
| `ledger.py` | what the world outside saw: every input, acknowledgement, screen, SMS, entry. Appended, never changed |
| `lives.py` | who was forgotten when, and what was under way meanwhile. Pure |
| `dialogues.py` | USSD inputs and what became of each; how long there was a way to an answer. Pure |
| `checker.py` | ledger and books -> violations and figures. Pure |
| `smsc.py` | the operator's SMSC, a process that is killed as well; it keeps what it took and repeats what was not |
| `network.py` | phones' side of that SMSC |
| `people.py` | what subscribers do, at phones and at terminals |
| `proxy.py` `processes.py` `disks.py` | cut, silent and slow links; killed and paused processes; slow and full disks |
| `desk.py` | the operator's commands: killed at it, and given again until one says that it is done |
| `stage.py` `storage.py` | all that runs, and how each fault is done to it; where the records are |
| `books.py` | what store and operator say at the end |
| `round.py` `report.py` `__main__.py` | one run from start to verdict; its report; the command line |

docs/reliability.md tells what is promised and how it was tested.
"""

from tests.development import require

require("tests.chaos", "pytest")
