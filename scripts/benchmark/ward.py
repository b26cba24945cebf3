"""A record of many Observations, one patient of whom has many.  Invented, deterministic."""

import random
import uuid
from collections.abc import Iterator

from benchmark.record import Resource, observation, patient

PER_PATIENT = 50
HEAVY = "heavy"
_MOST_HEAVY = 20_000


def people(size: int) -> int:
    """Return how many patients a record of ``size`` Observations has."""
    return max(size // PER_PATIENT, 2)


def resources(size: int) -> Iterator[Resource]:
    """Yield patients and ``size`` Observations; a tenth, 20,000 at most, are the heavy patient's.

    The same for the same size, in an order in which hospitals write them.
    """
    chance = random.Random(size)
    many = people(size)
    for number in range(many):
        yield {**patient(chance, number), "id": HEAVY if number == 0 else f"p{number}"}
    heavy = min(size // 10, _MOST_HEAVY)
    for number in range(size):
        one = HEAVY if number % (size // heavy) == 0 else f"p{chance.randrange(1, many)}"
        visit = f"Encounter/e{chance.randrange(many)}" if number % 50 else None
        made = observation(chance, f"Patient/{one}", visit)
        made["performer"] = [{"reference": f"Practitioner/d{chance.randrange(200)}"}]
        # As the server's own ids: the beginning grows with time.
        id_ = uuid.UUID(int=(number << 80) | chance.getrandbits(80), version=4)
        yield {**made, "id": str(id_)}
