"""How often: token buckets for logins, the token endpoint and the API.  RFC 6585 4 (429).

In the memory of one process: a restart forgets, several processes count apart.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil

from server.fhir.errors import Throttled

_ALMOST = 1e-6  # what binary fractions may be off by
MOST_KEYS = 20_000  # of one kind; the one not heard of for longest is forgotten first


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, then ``per_minute``; a ``burst`` of 0 is no limit.

    >>> Rate.read("10+30/min")
    Rate(burst=10, per_minute=30.0)
    >>> Rate.read("600/min")
    Rate(burst=600, per_minute=600.0)
    >>> Rate.read("none")
    Rate(burst=0, per_minute=0.0)
    """

    burst: int
    per_minute: float

    @classmethod
    def read(cls, text: str) -> "Rate":
        """Read ``BURST+N/min``, ``N/min`` or ``none``; raise ValueError for anything else."""
        if text == "none":
            return cls(0, 0.0)
        number, slash, unit = text.partition("/")
        burst, plus, rate = number.partition("+")
        if not slash or unit != "min":
            raise ValueError(f"{text!r} is not a rate such as 60/min, 10+60/min, or none")
        made = cls(int(burst), float(rate if plus else burst))
        if made.burst < 1 or not 0 < made.per_minute < 1e9:
            raise ValueError(f"{text!r} would let nobody in; `none` is no limit")
        return made


class Buckets:
    """One bucket a key, full at first.  ``now`` gives microseconds."""

    def __init__(
        self, rate: Rate, now: Callable[[], int], what: str, *, most_keys: int = MOST_KEYS
    ) -> None:
        self._burst = float(rate.burst)
        self._per_us = rate.per_minute / 60e6
        self._now, self._what, self._most_keys = now, what, most_keys
        self._kept: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one.

        Raises:
            Throttled: the bucket is empty; ``retry_after_s`` until there is one again.
        """
        if not self._burst:
            return
        now = self._now()
        level = self._level(key, now)
        if level < 1 - _ALMOST:
            wait_s = ceil((1 - level) / self._per_us / 1e6 - _ALMOST)
            raise Throttled(f"too many {self._what}", retry_after_s=max(1, wait_s))
        self._keep(key, level - 1, now)

    def give_back(self, key: str) -> None:
        """Uncount one: it was not what the limit is for."""
        if self._burst and key in self._kept:
            now = self._now()
            self._keep(key, min(self._burst, self._level(key, now) + 1), now)

    def _level(self, key: str, now: int) -> float:
        known = self._kept.get(key)
        if known is None:
            return self._burst
        level, at = known
        # A clock that was set back gives nothing, and takes nothing.
        return min(self._burst, level + max(0, now - at) * self._per_us)

    def _keep(self, key: str, level: float, now: int) -> None:
        self._kept[key] = (level, now)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most_keys:
            self._kept.popitem(last=False)


class Limits:
    """The limits of one server; ``now`` gives microseconds."""

    def __init__(
        self,
        now: Callable[[], int],
        *,
        login_user: Rate = Rate(10, 6),
        login_address: Rate = Rate(60, 60),
        token: Rate = Rate(120, 600),
        registration: Rate = Rate(20, 6),
        requests: Rate = Rate(0, 0),
    ) -> None:
        self._login_user = Buckets(login_user, now, "logins of this user: wait")
        self._login_address = Buckets(login_address, now, "logins from this address: wait")
        self._token = Buckets(token, now, "requests for tokens: wait")
        self._registration = Buckets(registration, now, "apps registered from this address: wait")
        self._requests = Buckets(requests, now, "requests of this client: wait")

    def login(self, user: str, address: str) -> None:
        """Count an attempt to log in, before the password is looked at; raise Throttled."""
        self._login_address.take(network_of(address))
        self._login_user.take(user.strip().lower())

    def logged_in(self, user: str, address: str) -> None:
        """Uncount the attempt: it was the right person."""
        self._login_address.give_back(network_of(address))
        self._login_user.give_back(user.strip().lower())

    def token(self, client: str, address: str) -> None:
        """Count a request to an endpoint of the authorization server; raise Throttled."""
        network = network_of(address)
        self._token.take(f"{client}\n{network}")
        self._token.take(f"\n{network}")

    def registration(self, address: str) -> None:
        """Count an app that registers itself: it stays; raise Throttled."""
        self._registration.take(network_of(address))

    def request(self, client: str) -> None:
        """Count a request to the API; raise Throttled."""
        self._requests.take(client)


def network_of(address: str) -> str:
    """Return what is counted for an address: of IPv6 the first half, as one customer has all of it.

    >>> network_of("2001:db8:1:2:3:4:5:6"), network_of("::ffff:192.0.2.1"), network_of("192.0.2.1")
    ('2001:db8:1:2::', '192.0.2.1', '192.0.2.1')
    """
    if ":" not in address:
        return address
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(IPv6Address(int(read) >> 64 << 64))
