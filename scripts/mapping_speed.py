"""How many messages a second of one core are mapped in this process: ``mapping speed``.

The best of several rounds: what else the machine does makes a round slower, never faster.
"""

import gc
import time

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse

HEAD = "MSH|^~\\&|ADT|STMARY|T|M|20260301101500||{type}|M1|P|2.5.1"
PID = (
    "PID|1||4711^^^STMARY^MR~99^^^SSA^SS||Gray^Ada^M^^^^L||19850131|F|||"
    "1 Main St^^Town^ST^12345^USA^H||^PRN^PH^^1^555^1234567|^WPN^PH^^1^555^7654321||M|||123456789"
)
PV1 = (
    "PV1|1|I|4E^101^A^STMARY|E|||1234^Smith^John^A^^Dr^MD^^STMARY|5678^Who^Carla^^^^MD^^STMARY||"
    "MED||||7|||1234^Smith^John^A^^Dr^MD^^STMARY||V100^^^STMARY||||||||||||||||||||||||20260301101000"
)
ADMISSION = (
    HEAD.format(type="ADT^A01^ADT_A01"),
    "EVN|A01|20260301101500|||OP1^Oper^Ator",
    PID,
    "NK1|1|Gray^Peter|SPO^Spouse^HL70063|1 Main St^^Town^ST^12345|^PRN^PH^^1^555^1234567",
    PV1,
    "PV2||||||||20260301|20260305",
    "AL1|1|DA^Drug allergy^HL70127|7980^Penicillin^RXNORM|SV^Severe^HL70128|Rash",
    "DG1|1||I10^Hypertension^I10|||A",
    (
        "IN1|1|PPO^Plan^L|INS1|Insure Inc|PO Box 1^^Town^ST^12345||||GRP1||||20250101|20261231|||"
        "Gray^Ada|SEL|19850131"
    ),
)
UPDATE = (
    HEAD.format(type="ADT^A08^ADT_A01"),
    "EVN|A08|20260301101500",
    "PID|1||4711^^^STMARY^MR||Gray^Ada||19850131|F|||1 Main St^^Town^ST^12345||555-1234",
    "PV1|1|I|4E^101^A|||||||||||||||||V100^^^STMARY",
)


def main() -> None:
    """Print messages a second, resources and rows of explanation of each message."""
    maps, feed = load_maps(), Feed("bench")
    gc.freeze()  # as the server does when it has started
    gc.set_threshold(10_000, 20, 50)
    for name, lines in (("A01, an admission", ADMISSION), ("A08, a small update", UPDATE)):
        body = "\r".join(lines).encode()
        plan = maps.plan(parse(body), feed)
        assert plan.quarantine is None, plan.problem
        rounds = [_round(lambda data=body: maps.plan(parse(data), feed)) for _ in range(12)]
        parsed = [_round(lambda data=body: parse(data)) for _ in range(3)]
        print(
            f"{name}: {max(rounds):,.0f}/s, parsed alone {max(parsed):,.0f}/s, "
            f"{len(plan.resources)} resources, {len(plan.explain)} rows"
        )


def _round(work: object, seconds: float = 0.25) -> float:
    assert callable(work)
    gc.collect()
    done, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(20):
            work()
        done += 20
    return done / (time.process_time() - began)


if __name__ == "__main__":
    main()
