"""Who does which duty: what nobody does goes to whoever does little, and whoever does too much gives some up."""

from collections import Counter
from collections.abc import Collection, Mapping
from math import ceil


def claims(duties: Collection[str], owners: Mapping[str, int], nodes: Collection[int], me: int) -> frozenset[str]:
    """The duties that ``me`` should try to get: what is nobody's, up to its share.

    Args:
        duties: all there are.
        owners: who does what now.
        nodes: those who may do something.
        me: one of these, else it gets nothing.
    """
    if me not in nodes:
        return frozenset()
    load = Counter(owners.get(duty, 0) for duty in duties)
    free = sorted(duty for duty in duties if owners.get(duty) not in nodes)
    least = len(duties) // len(nodes)
    poor = any(load[node] < least for node in nodes)
    room = (least if poor else ceil(len(duties) / len(nodes))) - load[me]
    first = sorted(nodes).index(me) * max(1, room)  # so that not all of them try to get the same ones
    return frozenset(free[(first + number) % len(free)] for number in range(min(max(0, room), len(free))))


def too_many(duties: Collection[str], owners: Mapping[str, int], nodes: Collection[int], me: int) -> frozenset[str]:
    """The duties that ``me`` should give up for others to take: what is beyond its share."""
    mine = sorted(duty for duty in duties if owners.get(duty) == me)
    if me not in nodes:
        return frozenset(mine)
    load = Counter(owners.get(duty, 0) for duty in duties)
    share, least = ceil(len(duties) / len(nodes)), len(duties) // len(nodes)
    needed = any(load[node] < least for node in nodes)
    most = least if needed and len(mine) == share else share
    return frozenset(mine[most:])
