"""How many messages a second of one core are mapped in this process: ``mapping speed``.

No two messages are alike, as in life: every patient, visit, time and address is another, while a
hospital's beds, doctors, insurers and codes come again.  The best of several rounds: what else the
machine does makes a round slower, never faster.
"""

import gc
import random
import time
from collections.abc import Callable
from itertools import cycle

from mappings.feed import Feed
from mappings.maps import Maps, load_maps
from mappings.parse import parse

MESSAGES = 500  # of each kind
FAMILIES = [
    "Gray",
    "Smith",
    "Okafor",
    "Nguyen",
    "Garcia",
    "Kowalski",
    "Silva",
    "Haddad",
    "Ivanova",
    "Chen",
    "Ali",
    "Larsen",
]
GIVEN = [
    "Ada",
    "Peter",
    "Carla",
    "Omar",
    "Lin",
    "Maria",
    "Jan",
    "Noor",
    "Ines",
    "Tomas",
    "Ruth",
    "Kofi",
    "Yuki",
    "Emil",
]
STREETS = [
    "Main St",
    "Oak Ave",
    "Harbour Rd",
    "Mill Lane",
    "Church St",
    "Park Way",
    "Hill Rd",
    "Lake Dr",
]
TOWNS = ["Town", "Springfield", "Riverton", "Lakeside", "Newport"]
WARDS = ["4E", "3W", "2N", "ICU", "MAT", "5S", "PED", "SUR"]
PROBLEMS = [
    "I10^Hypertension",
    "E11.9^Type 2 diabetes",
    "J18.9^Pneumonia",
    "I50.9^Heart failure",
    "S72.0^Hip fracture",
    "K35.8^Appendicitis",
    "N39.0^Urinary tract infection",
    "I63.9^Stroke",
    "J44.1^COPD",
    "O80^Delivery",
]
ALLERGENS = ["7980^Penicillin", "1191^Aspirin", "10831^Sulfa", "2670^Codeine", "7052^Morphine"]
INSURERS = ["Insure Inc", "Blue Shield", "National Health", "Mutual Care", "Harbour Life"]
DOCTORS = [
    f"{1200 + n}^{FAMILIES[n % 12]}^{GIVEN[n % 14]}^{'ABCDE'[n % 5]}^^Dr^MD^^STMARY"
    for n in range(40)
]


def main() -> None:
    """Print messages a second, resources and rows of explanation of each kind of message."""
    maps, feed = load_maps(), Feed("bench")
    gc.freeze()  # as the server does when it has started
    gc.set_threshold(10_000, 20, 50)
    for name, make in (("A01, an admission", _admission), ("A08, a small update", _update)):
        rng = random.Random(4)
        bodies = [make(rng, number) for number in range(MESSAGES)]
        resources, rows = _made(maps, feed, bodies)
        mapped = max(_speed(bodies, lambda data: maps.plan(parse(data), feed)) for _ in range(12))
        parsed = max(_speed(bodies, parse) for _ in range(3))
        print(
            f"{name}: {mapped:,.0f}/s, parsed alone {parsed:,.0f}/s, "
            f"{resources:.1f} resources, {rows:.1f} rows"
        )


def _made(maps: Maps, feed: Feed, bodies: list[bytes]) -> tuple[float, float]:
    """Return how many resources and rows a message has on average; each must be mapped."""
    plans = [maps.plan(parse(data), feed) for data in bodies]
    for plan in plans:
        assert plan.quarantine is None, plan.problem
    resources = sum(len(plan.resources) for plan in plans)
    return resources / len(plans), sum(len(plan.explain) for plan in plans) / len(plans)


def _speed(bodies: list[bytes], work: Callable[[bytes], object], seconds: float = 0.25) -> float:
    gc.collect()
    following = cycle(bodies)
    done, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(20):
            work(next(following))
        done += 20
    return done / (time.process_time() - began)


# -- messages -------------------------------------------------------------------------------------


def _admission(rng: random.Random, number: int) -> bytes:
    """A full admission; now and then a field is left out, as senders do."""
    name, born = _name(rng), _day(rng, 1930, 2025)
    middle = rng.choice("ABCDEFGH") if rng.random() < 0.7 else ""
    doctor, allergen, at = rng.choice(DOCTORS), rng.choice(ALLERGENS), _time(rng)
    ward, insurer = rng.choice(WARDS), rng.randrange(5)
    bed = f"{ward}^{rng.randrange(101, 113)}^{rng.choice('AB')}^STMARY"
    office = f"^WPN^PH^^1^555^{rng.randrange(10**6, 10**7)}" if rng.random() < 0.7 else ""
    person = {
        1: "1",
        3: f"{40_000 + number}^^^STMARY^MR~{rng.randrange(10**8, 10**9)}^^^SSA^SS",
        5: f"{name}^{middle}^^^^L",
        7: born,
        8: rng.choice("FM"),
        11: f"{_address(rng)}^USA^H",
        13: f"^PRN^PH^^1^555^{rng.randrange(10**6, 10**7)}",
        14: office,
        16: rng.choice("MSDW"),
        19: str(rng.randrange(10**8, 10**9)),
    }
    visit = {
        1: "1",
        2: rng.choice("IIIE"),
        3: bed,
        4: rng.choice("EUR"),
        6: f"{rng.choice(WARDS)}^^^STMARY",
        7: doctor,
        8: rng.choice(DOCTORS),
        10: rng.choice(["MED", "SUR", "CAR", "URO"]),
        14: rng.choice("1247"),
        17: doctor,
        19: f"V{number + 100}^^^STMARY",
        44: at,
    }
    kin = {
        1: "1",
        2: _name(rng),
        3: rng.choice(["SPO^Spouse^HL70063", "MTH^Mother^HL70063", "CHD^Child^HL70063"]),
        4: _address(rng),
        5: f"^PRN^PH^^1^555^{rng.randrange(10**6, 10**7)}",
    }
    coverage = {
        1: "1",
        2: rng.choice(["PPO^Plan^L", "HMO^Plan^L"]),
        3: f"INS{insurer}",
        4: INSURERS[insurer],
        5: f"PO Box {insurer + 1}^^Town^ST^12345",
        8: f"GRP{rng.randrange(40)}",
        12: "20250101",
        13: "20261231",
        16: name,
        17: "SEL^Self^HL70063",
        18: born,
    }
    return _message(
        _head("ADT^A01^ADT_A01", at, number),
        _segment("EVN", {1: "A01", 2: at, 5: f"OP{rng.randrange(30)}^Oper^Ator"}),
        _segment("PID", person),
        _segment("NK1", kin),
        _segment("PV1", visit),
        _segment("PV2", {8: at[:8], 9: "20260405"}),
        _segment(
            "AL1",
            {
                1: "1",
                2: "DA^Drug allergy^HL70127",
                3: f"{allergen}^RXNORM",
                4: rng.choice(["SV^Severe^HL70128", "MO^Moderate^HL70128"]),
                5: rng.choice(["Rash", "Hives"]),
            },
        ),
        _segment("DG1", {1: "1", 3: f"{rng.choice(PROBLEMS)}^I10", 6: "A"}),
        _segment("IN1", coverage),
    )


def _update(rng: random.Random, number: int) -> bytes:
    """What most messages are: who somebody is, and where."""
    at = _time(rng)
    person = {
        1: "1",
        3: f"{40_000 + number}^^^STMARY^MR",
        5: _name(rng),
        7: _day(rng, 1930, 2025),
        8: rng.choice("FM"),
        11: _address(rng),
        13: f"555-{rng.randrange(1000, 10_000)}",
    }
    place = f"{rng.choice(WARDS)}^{rng.randrange(101, 113)}^{rng.choice('AB')}"
    return _message(
        _head("ADT^A08^ADT_A01", at, number),
        _segment("EVN", {1: "A08", 2: at}),
        _segment("PID", person),
        _segment("PV1", {1: "1", 2: "I", 3: place, 19: f"V{number + 100}^^^STMARY"}),
    )


def _message(*segments: str) -> bytes:
    return "\r".join(segments).encode()


def _head(type_: str, at: str, number: int) -> str:
    return f"MSH|^~\\&|ADT|STMARY|T|M|{at}||{type_}|M{number}|P|2.5.1"


def _segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(n, "") for n in range(1, max(fields) + 1))])


def _name(rng: random.Random) -> str:
    return f"{rng.choice(FAMILIES)}{rng.choice(['', 'son', '-Reyes'])}^{rng.choice(GIVEN)}"


def _address(rng: random.Random) -> str:
    zip_code = rng.randrange(10_000, 100_000)
    return f"{rng.randrange(1, 400)} {rng.choice(STREETS)}^^{rng.choice(TOWNS)}^ST^{zip_code}"


def _day(rng: random.Random, first: int, last: int) -> str:
    return f"{rng.randrange(first, last)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"


def _time(rng: random.Random) -> str:
    hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    return f"202603{rng.randrange(1, 29):02}{hour:02}{minute:02}{second:02}"


if __name__ == "__main__":
    main()
