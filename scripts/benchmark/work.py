"""What the benchmark sends, over a record that is loaded.  Deterministic."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from benchmark.client import Check, Client
from benchmark.record import LOINC, VITALS, as_json, observation, patient, transaction


@dataclass(slots=True)
class Loaded:
    """Ids that the loaded transactions were given."""

    patients: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    json_bytes: int = 0
    resources: int = 0

    def keep(self, answer: bytes) -> bool:
        """Take the ids out of a transaction's answer; tell whether all entries were created."""
        entries = json.loads(answer).get("entry", [])
        for entry in entries:
            if entry["response"]["status"][:3] != "201":
                return False
            type_, id_ = entry["response"]["location"].split("/_history")[0].split("/")[-2:]
            if type_ == "Patient":
                self.patients.append(id_)
            elif type_ == "Observation":
                self.observations.append(id_)
        self.resources += len(entries)
        return True


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that is measured: its name, its requests, and the budget in CPU ms (or none).

    ``per``: resources in one request; figures are then given per resource.
    """

    name: str
    make: Callable[[], bytes]
    budget_ms: float | None = None
    right: Check | None = None
    per: int = 1


def operations(client: Client, loaded: Loaded, chance: random.Random) -> list[Operation]:
    """Return what is measured, over a record that is loaded."""
    new_patients = [as_json(patient(chance, n)) for n in range(100)]
    new_observations = [
        as_json(observation(chance, f"Patient/{chance.choice(loaded.patients)}"))
        for _ in range(200)
    ]
    batches = [transaction(random.Random(900 + n), 900 + n, 100) for n in range(4)]
    codes = [quote(f"{LOINC}|{code}", safe="") for code in VITALS]

    def get(path: str) -> bytes:
        return client.request("GET", path)

    def anybody() -> str:
        return chance.choice(loaded.patients)

    def update() -> bytes:
        id_ = anybody()
        changed = {**patient(chance, 7), "id": id_}
        return client.request("PUT", f"/Patient/{id_}", as_json(changed))

    def search() -> bytes:
        code = chance.choice(codes)
        return get(f"/Observation?patient={anybody()}&code={code}&_sort=-date&_count=20")

    def read() -> bytes:
        return get(f"/Observation/{chance.choice(loaded.observations)}")

    def create() -> bytes:
        return client.request("POST", "/Observation", chance.choice(new_observations))

    def include() -> bytes:
        return get(f"/Observation?patient={anybody()}&_include=Observation:encounter&_count=20")

    def mixed() -> bytes:
        pick = chance.random()
        if pick < 0.50:
            return read()
        if pick < 0.75:
            return search()
        if pick < 0.92:
            return create()
        return update() if pick < 0.97 else include()

    hit: Check = lambda body: b'"entry"' in body  # noqa: E731
    return [
        Operation("read", read, 0.07),
        Operation(
            "create Patient",
            lambda: client.request("POST", "/Patient", chance.choice(new_patients)),
            0.5,
        ),
        Operation("create Observation", create, 0.5),
        Operation("update", update, 0.5),
        Operation("search patient+code+sort", search, 0.4),
        Operation("_include", include, 0.35, hit),
        Operation(
            "_revinclude",
            lambda: get(f"/Patient?_id={anybody()}&_revinclude=Condition:subject"),
            0.35,
            hit,
        ),
        Operation(
            "transaction, per resource",
            lambda: client.request("POST", "", chance.choice(batches)),
            0.25,
            per=100,
        ),
        Operation("mixed", mixed, 0.55),
    ]
