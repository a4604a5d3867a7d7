"""Speed and memory, measured over a real socket: a load generator, a yardstick to compare with, and a report."""

from tests.development import require

require("benchmarks", "psutil", "simpy")
