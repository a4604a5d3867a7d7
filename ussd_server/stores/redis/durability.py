"""What a Redis may lose of what it acknowledged, by how it is set up. Pure."""

from collections.abc import Mapping
from typing import Final

from ussd_server.store_url import Kind

SETTINGS: Final = (b"appendonly", b"appendfsync", b"no-appendfsync-on-rewrite", b"maxmemory-policy")
"""Redis's settings that are looked at."""


_BEGIN_THE_LOG: Final = (
    "CONFIG SET appendonly yes, wait until INFO persistence says aof_rewrite_in_progress:0 and "
    "aof_last_bgrewrite_status:ok, and only then write appendonly yes and appendfsync always into redis.conf: by a "
    "restart alone Redis would begin empty"
)
"""A Redis that is started with `appendonly yes` reads its log alone, and where there is none nothing."""

_LET_IT_BEGIN: Final = (
    "a crash of Redis may lose all, as its log begins with a rewrite that has not ended: wait until INFO persistence "
    "says aof_rewrite_in_progress:0 and aof_last_bgrewrite_status:ok, as it does by itself when that "
    "has; where it never does, Redis's own log says why"
)


def risks(info: Mapping[str, str], config: Mapping[str, str] | None, kind: Kind, replicas: int) -> list[str]:
    """Return what could be lost and the mend, a line each; nothing where Redis is as durable as a disk.

    `info` are the fields of INFO; `config` the settings, None where Redis does not tell them; `replicas` is how many
    replicas a commit waits for.
    """
    found = [*_of_a_crash(info, config), *_of_no_room(info, config), *_of_a_failover(info, kind, replicas)]
    return [line for line in found if line]


def of_replica(info: Mapping[str, str], config: Mapping[str, str] | None, kind: Kind) -> list[str]:
    """Return what could be lost once a failover has made this replica the master; nothing where none does that."""
    if kind == "sentinel" and info.get("slave_priority") == "0":
        return []
    return risks(info, config, "alone", 0)


def _of_a_crash(info: Mapping[str, str], config: Mapping[str, str] | None) -> list[str]:
    if info.get("aof_enabled", "1") != "1" or (config or {}).get("appendonly", "yes") != "yes":
        return [f"a crash of Redis loses all since its last snapshot: {_BEGIN_THE_LOG}"]
    if _log_may_not_begin(info):
        return [_LET_IT_BEGIN]
    match (config or {}).get("appendfsync"):
        case "always" if (config or {}).get("no-appendfsync-on-rewrite") == "yes":
            return ["a crash while Redis rewrites its file loses what it took then: set no-appendfsync-on-rewrite no"]
        case "always":
            return []
        case "everysec":
            return ["a crash of Redis loses about the last second: set appendfsync always"]
        case "no":
            return ["a crash of Redis loses what the system has not written, half a minute: set appendfsync always"]
    return ["Redis does not tell whether it syncs each write: allow CONFIG GET, or see to appendfsync always"]


def _log_may_not_begin(info: Mapping[str, str]) -> bool:
    """Whether what is written may go to a log that a restart does not read, as the rewrite it follows has not ended.

    So it is after `CONFIG SET appendonly yes`, and at a replica after a full synchronization. INFO does not tell such a
    rewrite from one of a log that is whole, but for what it says of the ones before: where none ended well since Redis
    started, or the last failed and yet there is another already, it is taken for the first.
    """
    if info.get("aof_rewrite_in_progress", "0") == "0" and info.get("aof_rewrite_scheduled", "0") == "0":
        return False
    return info.get("aof_base_size", "0") == "0" or info.get("aof_last_bgrewrite_status", "ok") != "ok"


def _of_no_room(info: Mapping[str, str], config: Mapping[str, str] | None) -> list[str]:
    policy = (config or {}).get("maxmemory-policy") or info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [f"a full Redis drops records as it likes ({policy}): set maxmemory-policy noeviction"]


def _of_a_failover(info: Mapping[str, str], kind: Kind, replicas: int) -> list[str]:
    if kind == "alone":
        return []
    there = int(info.get("connected_slaves", "0"))
    if not replicas:
        wanted = max(there, 1)
        return [
            f"a failover loses what no replica has yet: let commits wait with ?replicas={wanted} in the store's URL"
        ]
    if replicas < there:
        # Whichever replica is promoted must have what was acknowledged, also when the ones that have it are away.
        return [f"a failover while a replica is down, too, can lose what {replicas} of {there} have: ?replicas={there}"]
    return []


def fields(info: str) -> dict[str, str]:
    """Return the fields of INFO's answer."""
    pairs = (line.split(":", 1) for line in info.splitlines() if ":" in line)
    return {name: value.strip() for name, value in pairs}
