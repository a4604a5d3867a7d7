"""What the document looks at: how many subscribers, on which deployments, in what group."""

from dataclasses import replace

from benchmarks.capacity import ASSUMED, MEASURED, Deployment, fitted

SIZES = (100_000, 1_000_000, 10_000_000, 30_000_000, 100_000_000)
DEPLOYMENTS = (
    Deployment("1 machine, SQLite", 1, 0),
    Deployment("2 servers, 1 Redis", 2, 1),
    Deployment("2 servers, 1 Redis with Sentinel", 2, 1, 1),
    Deployment("2 servers, Cluster of 3 + 3", 2, 3, 1),
    Deployment("4 servers, Cluster of 6 + 6", 4, 6, 1),
    Deployment("16 servers, Cluster of 24 + 24", 16, 24, 1),
)
NEW = replace(ASSUMED, years=0.0)
"""Subscribers on their first day, who have no journal."""
SQLITE = fitted(MEASURED.sqlite)
CROWD = SQLITE.crowd(MEASURED.crowd)
CAPACITY = 1 / CROWD.cpu_s()
"""Steps/s of a crowd on SQLite in full groups, on a core of its own."""
