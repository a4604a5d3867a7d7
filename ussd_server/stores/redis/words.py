"""What Redis or the network says is wrong, in plain words, with the mend where there is one. Pure."""

import os
import ssl

from ussd_server.stores.redis.wire import Address, Refused


def plain(error: Refused) -> str:
    """Return what an error of Redis means, and its mend where there is one."""
    text = str(error)
    match error.code:
        case "OOM":
            return "Redis is full (maxmemory): give it more memory, or take other data out of it"
        case "MISCONF":
            return f"Redis cannot write to its disk; make room there and look into its log ({text})"
        case "NOAUTH":
            return (
                "Redis refuses what comes without a password: write it in the store's URL, redis://:PASSWORD@HOST or "
                f"redis://USER:PASSWORD@HOST, or add ?password_file=FILE ({text})"
            )
        case "WRONGPASS":
            return f"Redis refuses the user or password of the store's URL ({text})"
        case "NOPERM":
            return f"this user may not do it in Redis; see the permissions in docs/redis.md ({text})"
        case "LOADING":
            return "Redis is starting and still loads its data"
        case "READONLY":
            return f"this Redis is a replica and takes no writes; name its master ({text})"
        case "MOVED" | "ASK":
            return "this Redis is part of a Cluster: write redis+cluster:// in the store's URL"
        case "CROSSSLOT":
            return (
                "this Redis takes no request for keys of several slots: where it is part of a Cluster, write "
                f"redis+cluster:// in the store's URL ({text})"
            )
        case "CLUSTERDOWN":
            return f"the Cluster serves nothing until each slot has a master ({text})"
        case "NOREPLICAS":
            return f"Redis takes no writes while too few replicas follow it ({text})"
        case "FENCED":
            return f"the store takes no changes: it is {text.partition(' ')[2]}"
        case "ERR" if "DB index" in text:
            return f"Redis has no database of this number (`databases` in redis.conf): write a lower one ({text})"
        case "WRONGTYPE":
            return (
                "another program's data is where this store's should be: where it is a list, it is being made anew, so "
                "try again in a moment; if it lasts, another program writes there: give one of the two another "
                "?prefix= or database"
            )
    return text


def why(address: Address, error: OSError) -> str:
    """Return why a server cannot be reached."""
    host, port = address
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"cannot connect to {host}:{port}: its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"cannot connect to {host}:{port}: no TLS there: {error.reason}"
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    if isinstance(error, TimeoutError) or not text:
        text = "it does not answer"
    return f"cannot connect to {host}:{port}: {text}"
