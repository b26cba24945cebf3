"""Generated histories of one patient: messages with their times, as hospitals' systems write them.

What the generator avoids is what docs/feeds.md, "In any order", says that cannot be free of the
order of arrival, and nothing else: equal times, numbers that become one later, merges of patients,
another person's data, and a result that begins anew below where it was withdrawn.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

OWN = "H&1.2.3&ISO"  # one authority, whoever sends: HD inside a CX, an XCN
EI = "H^1.2.3^ISO"  # and inside an EI
START = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: which feed sends it, and its bytes without the header."""

    feed: str
    type: str
    at: str  # YYYYMMDDHHMMSS
    segments: tuple[str, ...]

    def body(self, number: int, *, at: str = "") -> bytes:
        """Return the message; ``number`` is MSH-10, ``at`` another MSH-7 than its own."""
        head = f"MSH|^~\\&|APP|FAC|T|M|{at or self.at}||{self.type}|{number}|P|2.5.1"
        return "\r".join((head, *self.segments)).encode()


class History:
    """Makes messages one minute after the other; what happens is up to ``chance``."""

    def __init__(self, chance: random.Random, feeds: tuple[str, ...]) -> None:
        self.chance = chance
        self.feeds = feeds
        self.minute = 0
        self.highest: dict[str, int] = {}  # the status of each result line, P, F, C
        self.withdrawn: dict[str, bool] = {}  # lines that were withdrawn at some time

    def messages(self, number: int) -> list[Sent]:
        """Return ``number`` messages in the order of their times."""
        makers: tuple[Callable[[], Sent], ...] = (
            self.admission, self.admission, self.order, self.result, self.result,
            self.appointment, self.document, self.vaccination,
        )  # fmt: skip
        return [self.chance.choice(makers)() for _ in range(number)]

    def pick(self, *options: str) -> str:
        """Return one of the options."""
        return self.chance.choice(options)

    def now(self) -> str:
        """Return the next minute."""
        self.minute += 1
        return f"{START + timedelta(minutes=self.minute):%Y%m%d%H%M%S}"

    def sent(self, type_: str, at: str, *segments: str) -> Sent:
        """Return a message of any of the feeds."""
        return Sent(self.pick(*self.feeds), type_, at, segments)

    # -- segments ---------------------------------------------------------------------------------

    def pid(self) -> str:
        """The patient; name, sex and address change, never so much that it is another person."""
        ids = f"7^^^{OWN}^MR" + self.pick("", f"~8^^^{OWN}^PI", f"~9^^^{OWN}")
        name = self.pick("Doe^Jane", "Doe^Jane^Q", "Doe^Jane~Roe^Jane", "")
        sex = self.pick("F", "F", "U", '""', "")
        home = self.pick("1 Main St^^Town", "2 Side St^^Town", '""', "")
        phone = self.pick("555-1", "555-2~555-3", '""', "")
        married = self.pick("M", "S", '""', "")
        return f"PID|1||{ids}||{name}||1985|{sex}|||{home}||{phone}|||{married}"

    def visit(self, event: str = "") -> str:
        """The visit, its place and doctor; discharged where the event says so."""
        kind = self.pick("I", "O", "")
        place = self.pick("4E^1^A", "4E^1^B", "ICU", '""', "")
        doctor = self.pick("1^Smith^John^", "1^Smith^John^A", "2^Who^Doctor^", "")
        admitted = self.pick("202503010800", "20250301", "") if event != "A03" else ""
        left = self.pick("202503050900", "202503051000") if event == "A03" else ""
        how = self.pick("HOME", "SNF") if event == "A03" else self.pick("", '""')
        doctor = f"{doctor}^^^^^{OWN}" if doctor else ""
        fields = {2: kind, 3: place, 7: doctor, 19: f"V1^^^{OWN}", 36: how, 44: admitted, 45: left}
        return _segment("PV1|1", 2, fields)

    def clinical(self, *, visit: bool) -> Iterator[str]:
        """Allergies, diagnoses (of a visit), relatives: as many as there are at the moment."""
        if self.chance.random() < 0.4:
            for n, what in enumerate(self.chance.sample(["A^Nuts^L", "B^Eggs^L", "^Dust"], 2)):
                yield f"AL1|{n + 1}|FA|{what}|{self.pick('SV', 'MI', '')}|{self.pick('Rash', '')}"
        if visit and self.chance.random() < 0.4:
            for n, what in enumerate(self.chance.sample(["I10", "E11", "J45"], 2)):
                since, kind = self.pick("20250301", ""), self.pick("A", "F")
                yield f"DG1|{n + 1}||{what}^Words^I10||{since}|{kind}"
        if self.chance.random() < 0.3:
            phone = self.pick("555-8", "555-9", '""', "")
            yield f"NK1|1|Doe^John|SPO||{phone}"

    # -- messages ---------------------------------------------------------------------------------

    def admission(self) -> Sent:
        """An ADT of the visit, cancels among them."""
        event = self.pick("A01", "A02", "A03", "A08", "A08", "A11", "A12", "A13", "A04", "A31")
        at = self.now()
        segments = [f"EVN|{event}|{at}", self.pid()]
        if event != "A31":
            segments.append(self.visit(event))
        return self.sent(f"ADT^{event}", at, *segments, *self.clinical(visit=event != "A31"))

    def order(self) -> Sent:
        """An order, its change, its cancel."""
        number = self.pick("1", "2")
        control, status = self.chance.choice([("NW", ""), ("XO", "IP"), ("CA", "CA"), ("SC", "CM")])
        at = self.now()
        common = f"P{number}^{EI}|F{number}^{EI}"
        orc = f"ORC|{control}|{common}||{status}||||{at}|||{self.pick('3^Or^Derer', '')}"
        obr = f"OBR|1|{common}|GLU^Glucose^L|||||||||{self.pick('', 'fasting')}"
        return self.sent("ORM^O01", at, self.pid(), self.visit(), orc, obr)

    def result(self) -> Sent:
        """A report of one or two lines: preliminary, final, corrected, withdrawn."""
        number = self.pick("1", "2", "3")
        at = self.now()
        common = f"P{number}^{EI}|F{number}^{EI}"
        orc = f"ORC|RE|{common}"
        lines = self.chance.sample(["NA", "K", "CL"], self.chance.randint(1, 2))
        fields = {4: "LYTES^Electrolytes^L", 7: self.pick("202503010700", ""), 22: at, 24: "CH"}
        obr = _segment(f"OBR|1|{common}", 4, fields | {25: self.status(f"report {number}")})
        obx = [self.line(number, n, code) for n, code in enumerate(lines, start=1)]
        return self.sent("ORU^R01", at, self.pid(), self.visit(), orc, obr, *obx)

    def line(self, number: str, n: int, code: str) -> str:
        """One result, with or without all that may stand beside its value."""
        status = self.status(f"{number} {code}")
        value, flag = self.pick("1.0", "2.5", "9"), self.pick("H", "L", "")
        when = self.pick("202503010701", "202503010702", "")
        return f"OBX|{n}|NM|{code}^{code}^L||{value}|mmol/L||{flag}|||{status}|||{when}"

    def status(self, what: str) -> str:
        """The next status of a result; after a withdrawal none below that of before."""
        highest = self.highest.get(what, 0)
        since = highest if self.withdrawn.get(what) else 0
        made = self.pick(*"PFC"[since:], "X")
        self.withdrawn[what] = self.withdrawn.get(what, False) or made == "X"
        if made != "X":
            self.highest[what] = max(highest, "PFC".index(made))
        return made

    def appointment(self) -> Sent:
        """A booking, rescheduled, changed, cancelled."""
        event = self.pick("S12", "S13", "S14", "S15", "S17", "S26")
        at = self.now()
        start = self.pick("202504010900", "202504011000", "202504020900")
        event_reason, reason = self.pick("ILL^Ill", ""), self.pick("CHECK^Checkup", "")
        sch = f"SCH|A1^{EI}|B1^{EI}||||{event_reason}|{reason}||30|min|^^30^{start}"
        ais = f"AIS|1||{self.pick('EYE^Eyes', 'EAR^Ears')}|{start}"
        return self.sent(f"SIU^{event}", at, sch, self.pid(), "RGS|1", ais)

    def document(self) -> Sent:
        """A document, edited, withdrawn."""
        event = self.pick("T02", "T04", "T08", "T11")
        at = self.now()
        fields = {
            4: self.pick("202503010900", ""), 5: "4^Au^Thor", 8: self.pick(at, "20250301"),
            12: f"D1^{EI}", 17: self.pick("AU", "DI", "LA"), 19: self.pick("AV", "UN", ""),
        }  # fmt: skip
        txa = _segment("TXA|1|CN|TX", 4, fields)
        obx = f"OBX|1|TX|||{self.pick('First text', 'Second text')}||||||F"
        return self.sent(
            f"MDM^{event}", at, f"EVN|{event}|{at}", self.pid(), self.visit(), txa, obx
        )

    def vaccination(self) -> Sent:
        """A vaccination, given, refused, deleted."""
        number = self.pick("1", "2")
        at = self.now()
        orc = f"ORC|RE|VP{number}^{EI}|VF{number}^{EI}||||||{at}"
        done, action = self.chance.choice([("CP", "A"), ("CP", "U"), ("RE", "A"), ("CP", "D")])
        why = "PAT^Patient decision^L" if done == "RE" else ""
        fields = {
            5: "08^HepB^CVX", 6: self.pick("1", "0.5"), 7: "mL", 9: self.pick("00", "01", ""),
            15: self.pick("L1", "L2", ""), 18: why, 20: done, 21: action,
        }  # fmt: skip
        rxa = _segment("RXA|0|1|20250301|", 5, fields)
        return self.sent("VXU^V04", at, self.pid(), orc, rxa)


def _segment(begin: str, start: int, fields: dict[int, str]) -> str:
    """Return a segment that goes on with field ``start``."""
    return "|".join([begin, *(fields.get(n, "") for n in range(start, max(fields) + 1))])
