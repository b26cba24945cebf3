"""Passwords: argon2id (RFC 9106) in threads of their own, so that logins never hold up reads.

Rules as in NIST SP 800-63B 3.1.1: length, no rules of composition, no expiry, nothing that is
commonly used or made of the user's own name.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from server.auth.unfit import Unfit
from server.fhir.errors import Throttled

MIN_LENGTH = 12
MAX_LENGTH = 256
MOST_WAITING = 256  # at some 40 ms each, about ten seconds of work
_READ = 4 * MAX_LENGTH  # characters of what was typed: enough to tell that it is too long
_NICENESS = 10  # threads that compute passwords yield to the one that answers reads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one password costs to check: RFC 9106's t, m (KiB) and p.

    The default is OWASP's (19 MiB, 2 passes, 1 lane).  More lanes would take the other cores from
    those who read.
    """

    passes: int = 2
    memory_kib: int = 19_456
    lanes: int = 1


CHEAP = Cost(passes=1, memory_kib=8)
"""For tests: no protection at all."""


def at_once() -> int:
    """Return how many passwords are computed at once: half of the processors, at least one."""
    return max(1, (os.cpu_count() or 1) // 2)


class Passwords:
    """Hashes and verifies, ``concurrent`` at a time; more wait, up to ``waiting``."""

    def __init__(
        self,
        cost: Cost | None = None,
        *,
        concurrent: int | None = None,
        waiting: int = MOST_WAITING,
    ) -> None:
        cost = cost or Cost()
        self._hasher = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes)
        self._most = waiting
        self._pending = 0
        self._threads = ThreadPoolExecutor(
            concurrent or at_once(), "password", initializer=_yield_to_others
        )
        # Made ahead: the first unknown user must not take longer than the others.
        self._nobodys = self._threads.submit(self._hasher.hash, "nobody's password")

    async def hash(self, password: str) -> str:
        """Return the argon2id text to keep.

        Raises:
            Throttled: too many wait already.
        """
        return await self._run(partial(self._hasher.hash, _prepared(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether ``password`` is the one that ``kept`` was made of.

        ``None`` (no such user, or one without a password) takes as long, and is never right.

        Raises:
            Throttled: too many wait already.
        """
        return await self._run(partial(self._verify, kept, password))

    def outdated(self, kept: str) -> bool:
        """Tell whether ``kept`` was made at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str | None, password: str) -> bool:
        try:
            self._hasher.verify(kept or self._nobodys.result(), _prepared(password))
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError):
            return False  # what is kept cannot be read: nobody comes in by it
        return kept is not None

    async def _run(self, work: "partial[T]") -> T:
        if self._pending >= self._most:
            raise Throttled("too many logins at once", retry_after_s=5)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pending -= 1


def check(password: str, *names: str) -> None:
    """Refuse a password that is easy to guess.

    ``names``: the user's own, which a password must not be made of.

    Raises:
        Unfit: with the rule that it breaks.
    """
    text = _prepared(password)
    if len(text) < MIN_LENGTH:
        raise Unfit(f"a password has at least {MIN_LENGTH} characters; a few words will do")
    if len(text) > MAX_LENGTH:
        raise Unfit(f"a password has at most {MAX_LENGTH} characters")
    plain = "".join(filter(str.isalnum, text.casefold()))
    for name in names:
        own = "".join(filter(str.isalnum, name.casefold()))
        if len(own) >= 3 and own in plain and len(plain) - len(own) < MIN_LENGTH // 2:
            raise Unfit("the password is little more than the user's name")
    if len(set(plain)) < 5 or plain in _COMMON or _stem(plain) in _COMMON:
        raise Unfit("this password is one of the commonest; choose another")


def _prepared(password: str) -> str:
    """Return the text in one form (NFKC), whichever keyboard it was typed on."""
    return normalize("NFKC", password[:_READ])


def _stem(plain: str) -> str:
    return plain.rstrip("0123456789")


def _yield_to_others() -> None:
    """Lower the thread's own priority; only Linux counts it by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


# Of those with twelve characters and more, or that reach it with digits behind them.
_COMMON_WORDS = (
    "password passwordpassword passw0rd p4ssw0rd adminadmin administrator admin letmein "
    "letmeinletmein welcome welcometohospital welcomewelcome qwerty qwertyuiop qwertyuiopas "
    "qwertyqwerty qwertzuiop qwertzuiopas asdfghjkl asdfghjklasdf zxcvbnm zxcvbnmasdf "
    "qazwsxedc qazwsxedcrfv 1qaz2wsx3edc 1q2w3e4r5t6y 1q2w3e4r5t 1q2w3e4r q1w2e3r4t5y6 "
    "123456789012 1234567890123 0123456789012 123456789123 123456123456 123123123123 "
    "987654321098 abcdefghijkl abcdefghijklm abcdefgh abcdef iloveyou iloveyouiloveyou "
    "changeme changemechangeme changemenow changeit secretsecret secret mysecretpassword "
    "mypassword thisismypassword thisisapassword correcthorsebatterystaple hospital "
    "hospitalhospital doctordoctor patientpatient nurse tellonce telloncetellonce "
    "footballfootball football baseball basketball superman supermansuperman princess "
    "princessprincess dragon monkey monkeymonkey sunshine sunshinesunshine starwars whatever "
    "trustno1 testtesttest testpassword test temporarypassword defaultpassword"
)
_COMMON = frozenset(_COMMON_WORDS.split())
