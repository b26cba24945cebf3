"""Everything that Ann may ask, of her own things, of others', and of what never was.

A list of plain requests; :func:`covered` tells which routes and operations it speaks of.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from server.rest.routes import template
from tests.rest.house import FHIR_JSON, JSON_PATCH, bundle, entry, fhirpath_patch
from tests.security.ann import FORM, RESTRICTED, VALUE_SET, coded, ref, vital

PAGES = 4  # that are followed behind the first
FIELDS = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Ask:
    method: str
    address: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def route(self) -> str:
        path = self.address.partition("?")[0].strip("/")
        return template(tuple(path.split("/")) if path else ())


def get(address: str, **headers: str) -> Ask:
    return Ask("GET", address, None, {n.replace("_", "-"): v for n, v in headers.items()})


def post(address: str, body: Any = None, **headers: str) -> Ask:
    return Ask("POST", address, body, {n.replace("_", "-"): v for n, v in headers.items()})


def form(address: str, fields: str) -> Ask:
    return Ask("POST", address, fields, {"Content-Type": FIELDS})


def put(address: str, body: Any, **headers: str) -> Ask:
    return Ask("PUT", address, body, {n.replace("_", "-"): v for n, v in headers.items()})


def json_patch(address: str, *operations: Any, **headers: str) -> Ask:
    named = {n.replace("_", "-"): v for n, v in headers.items()}
    return Ask("PATCH", address, list(operations), {"Content-Type": JSON_PATCH, **named})


def path_patch(address: str, *operations: Any) -> Ask:
    return Ask("PATCH", address, fhirpath_patch(*operations), {"Content-Type": FHIR_JSON})


def delete(address: str, **headers: str) -> Ask:
    return Ask("DELETE", address, None, {n.replace("_", "-"): v for n, v in headers.items()})


def parameters(**values: Any) -> dict[str, Any]:
    listed = [{"name": name, **value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def patient(id_: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "active": True}


def shared(type_: str, id_: str) -> dict[str, Any]:
    return {"resourceType": type_, "id": id_, "name": [{"family": "New"}]}


ACTIVE = {"op": "add", "path": "/status", "value": "amended"}
TAGS = parameters(meta={"valueMeta": {"tag": [{"code": "x"}]}})
LABELS = parameters(meta={"valueMeta": {"security": [RESTRICTED]}})

# What others may have; the last is nobody's.
IDS = (
    "Patient/b", "Observation/h0", "Observation/h1", "Observation/h2", "Condition/d0",
    "Encounter/k0", "List/m0", "Practitioner/q0", "Organization/w0", "Binary/z0",
    "DocumentReference/s0", "Provenance/v0", "AuditEvent/u0", "ValueSet/y0", "Medication/t1",
    "AllergyIntolerance/i0", "Composition/j0", "QuestionnaireResponse/a1", "ConceptMap/c1",
    "Observation/none",
)  # fmt: skip
OWN_IDS = (
    "Patient/a",
    "Observation/o0",
    "Practitioner/p0",
    "Binary/n0",
    "Medication/t0",
    "Questionnaire/f1",
)

READS = (
    *(get(f"/{name}") for name in (*IDS, *OWN_IDS)),
    *(get(f"/{name}/_history") for name in (*IDS, *OWN_IDS)),
    *(get(f"/{name}/_history/1") for name in (*IDS, *OWN_IDS)),
    *(get(f"/{name}/_history/2") for name in IDS),
    *(get(f"/{name}/$meta") for name in IDS),
    *(get(f"/{name}/$validate") for name in IDS),
    *(get(f"/{name}/$validate?mode=delete") for name in IDS),
    get("/Observation/h0", If_None_Match='W/"1"'),
    get("/Observation/h0?_summary=true"),
    get("/Binary/z0", Accept="text/plain"),
    get("/metadata"),
)

_SYSTEM = (
    "/", "/?_count=2&_total=accurate", "/?_summary=count", "/?_id=b,h0,o0",
    "/?_lastUpdated=gt2020", "/?_type=Patient,Observation,Practitioner",
)  # fmt: skip
_OBSERVATIONS = (
    "", "_total=accurate", "_summary=count", "_count=0", "_count=1", "_count=2&_total=accurate",
    "_sort=date&_count=1", "_sort=-date", "_sort=value-quantity", "_sort=code&_count=1",
    "_sort=patient.name", "_sort=-subject:Patient.birthdate", "_sort=encounter.part-of.status",
    "_sort=performer:Practitioner.name,-date", "_sort=has-member:Observation.date",
    "patient=b", "patient=Patient/b", "subject=Patient/a,Patient/b", "patient:missing=true",
    "patient.name=Zoe", "patient.name=Adams", "subject:Patient.identifier=s|b",
    "patient.general-practitioner.name=Poe", "encounter.part-of:missing=false",
    "encounter.part-of.status=finished", "performer:Practitioner.name=Poe",
    "performer:Organization.partof.name=General", "has-member.code=8867-4",
    "has-member:Observation.value-quantity=gt1", "derived-from:Observation.subject.name=Zoe",
    "focus:Patient.name=Zoe", "focus:Patient.identifier:not=x", "encounter.patient.name=Zoe",
    "_has:Observation:has-member:code=8867-4", "_has:Observation:derived-from:date=gt1990",
    "_has:List:item:_id=m0", "_has:List:item:_id=l0",
    "_has:Provenance:target:agent=Practitioner/p0",
    "_has:AuditEvent:entity:type=rest", "_has:Observation:has-member:patient.name=Zoe",
    "_has:Observation:has-member:_has:List:item:_id=l0", "_list=m0", "_list=l0",
    "_list=$current-problems", "_filter=subject eq Patient/b", "_filter=not (code eq zzz)",
    "_filter=has-member.date eq 2020-06-01", "code:in=" + VALUE_SET, "code:not-in=" + VALUE_SET,
    "code:in=ValueSet/y0", "combo-code-value-quantity=8867-4$gt1", "_contained=true",
    "_contained=both", "_text=Zoe", "_content=Zoe", "identifier=s|1", "identifier:of-type=s|x|1",
    "_security=" + RESTRICTED["code"], "_security:not=R", "_tag=x", "_elements=subject",
    "_summary=true", "_lastUpdated=gt2000", "date=gt2020-02-01", "date:missing=true",
    "_id=h0,h1,o0", "_include=*", "_include=Observation:has-member",
    "_include=Observation:subject&_include:iterate=Patient:general-practitioner",
    "_include=Observation:focus", "_include=Observation:derived-from:Observation",
    "_include=Observation:performer&_include:iterate=Organization:partof&_count=1",
    "_include=Observation:encounter&_include:iterate=Encounter:part-of", "_revinclude=*",
    "_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member",
    "_revinclude=Observation:has-member", "_revinclude=List:item&_revinclude=Provenance:target",
    "_revinclude=AuditEvent:entity", "_revinclude:iterate=Observation:derived-from&_count=1",
    "_explain=true", "_cursor=abc", "_unknown=1",
)  # fmt: skip

SEARCHES = (
    *(get(address) for address in _SYSTEM),
    *(get(f"/Observation?{asked}") for asked in _OBSERVATIONS),
    *(get(f"/{type_}") for type_ in (
        "Patient", "Condition", "Encounter", "List", "Practitioner", "Organization", "Binary",
        "DocumentReference", "Provenance", "AuditEvent", "ValueSet", "Medication", "Device")),
    *(get(f"/{type_}?_total=accurate&_count=1&_revinclude=*&_include=*") for type_ in (
        "Patient", "Condition", "Encounter", "List", "Practitioner", "Organization")),
    get("/Patient?name=Adams&_total=accurate"), get("/Patient?identifier=s|b"),
    get("/Patient?_has:Observation:patient:code=8867-4"),
    get("/Patient?_has:Observation:focus:code=8867-4"),
    get("/Patient?organization.partof.name=General"),
    get("/Patient?_include=Patient:organization&_include:iterate=Organization:partof"),
    get("/Patient?_revinclude=Observation:focus"), get("/Patient?general-practitioner.name=Poe"),
    get("/Practitioner?_has:Patient:general-practitioner:name=Zoe"),
    get("/Practitioner?_has:Observation:performer:date=gt1990"),
    get("/Practitioner?name=Poe&_revinclude=Observation:performer"),
    get("/Organization?_revinclude:iterate=Organization:partof"),
    get("/Organization?partof.name=General"), get("/Organization?_id=g0,w0&_include=*"),
    get("/Device?_contained=true"), get("/Device?_contained=true&_containedType=contained"),
    get("/Device?_contained=both&_count=1"), get("/List?item=Observation/h0"),
    get("/List?item.code=8867-4"), get("/Encounter?part-of=Encounter/k0"),
    get("/DocumentReference?relatesto.status=current"), get("/Condition?evidence-detail.code=c"),
    *(get(f"/{owner}/{member}") for owner in (
        "Patient/a", "Patient/b", "Patient/none", "Encounter/e0", "Encounter/k0",
        "Practitioner/p0", "Practitioner/q0") for member in ("Observation", "*")),
    get("/Patient/b/Observation?_total=accurate"), get("/Patient/a/*?_type=AuditEvent,Condition"),
    form("/_search", "_id=b,h0,o0&_total=accurate"),
    form("/Observation/_search", "patient.name=Zoe&_summary=count"),
    form("/Patient/a/Observation/_search", "_sort=patient.name"),
    form("/Patient/b/Observation/_search", "_total=accurate"),
)  # fmt: skip

HISTORIES = (
    get("/_history"), get("/_history?_count=1"), get("/_history?_since=2000-01-01"),
    get("/_history?_at=2026-01-02&_count=2"), get("/Observation/_history"),
    get("/Observation/_history?_count=1"), get("/Practitioner/_history"),
    get("/Patient/_history"), get("/AuditEvent/_history"),
)  # fmt: skip

_MAP = {
    "resourceType": "ConceptMap", "url": "http://map.example/inline", "status": "active",
    "group": [{"source": "http://loinc.org", "target": "http://other.example", "element": [
        {"code": "8867-4", "target": [{"code": "pulse", "equivalence": "equivalent"}]}]}],
}  # fmt: skip
_RATE = {"system": "http://loinc.org", "code": "8867-4"}
_ANSWERS = {
    "resourceType": "QuestionnaireResponse", "status": "completed",
    "questionnaire": "http://forms.example/f1", "subject": ref("Patient/a"),
    "authored": "2026-01-01T00:00:00Z", "author": ref("Patient/a"),
    "item": [{"linkId": "rate", "answer": [{"valueQuantity": {"value": 65, "unit": "/min"}}]},
             {"linkId": "allergies", "answer": [{"valueCoding": {"code": "m"}}]}],
}  # fmt: skip
_QUESTIONS = {"questionnaire": {"resource": FORM}}
_CHART = {
    "context": {
        "part": [
            {"name": "name", "valueString": "encounter"},
            {"name": "content", "valueReference": ref("Encounter/k0")},
        ]
    }
}


def _populating(subject: str, **more: Any) -> Ask:
    return post("/Questionnaire/$populate", parameters(
        **_QUESTIONS, subject={"valueReference": ref(subject)}, **more))  # fmt: skip


def _extracting(**more: Any) -> Ask:
    answers: dict[str, Any] = {"questionnaire-response": {"resource": {**_ANSWERS, **more}}}
    return post("/QuestionnaireResponse/$extract", parameters(**answers, **_QUESTIONS))


CONTINUITY = (
    *(post(f"/Patient/{id_}/$known-answers", parameters(**_QUESTIONS, **more))
      for id_ in ("a", "b", "none")
      for more in ({}, {"encounter": {"valueReference": ref("Encounter/e0")}},
                   {"encounter": {"valueReference": ref("Encounter/k0")}})),
    *(get(f"/Patient/{id_}/$known-answers?questionnaire={form}") for id_ in ("a", "b", "none")
      for form in ("Questionnaire/f1", "http://forms.example/f1", "Questionnaire/none")),
    *(_populating(f"Patient/{id_}", **more) for id_ in ("a", "b", "none")
      for more in ({}, _CHART, {"local": {"valueBoolean": False}})),
    *(get(f"/Questionnaire/{id_}/$populate?subject=Patient/{whose}")
      for id_ in ("f1", "none") for whose in ("a", "b")),
    get("/Questionnaire/$populate?identifier=s|form&subject=Patient/a"),
    post("/Questionnaire/$populate", parameters(
        identifier={"valueIdentifier": {"system": "s", "value": "form"}},
        subject={"valueReference": ref("Patient/a")})),
    _extracting(), _extracting(subject=ref("Patient/b")), _extracting(id="a1"),
    _extracting(encounter=ref("Encounter/k0")), _extracting(questionnaire="Questionnaire/f1"),
    post("/QuestionnaireResponse/$extract", parameters(
        **{"questionnaire-response": {"resource": _ANSWERS}})),
    *(post(f"/QuestionnaireResponse/{id_}/$extract{commit}") for id_ in ("a0", "a1", "none")
      for commit in ("", "?commit=true")),
    *(get(f"/Patient/{id_}/$summary") for id_ in ("a", "b", "none")),
    *(post("/Patient/$summary", parameters(
        identifier={"valueIdentifier": {"system": "s", "value": value}}))
      for value in ("a", "b", "none")),
    *(get(f"/Patient/{id_}/$story{asked}") for id_ in ("a", "b", "none") for asked in (
        "", "?since=2000", "?audience=patient&since=2000&document=true",
        "?encounter=Encounter/e0", "?encounter=Encounter/k0&since=2000",
        "?encounter=Encounter/none", "?department=Organization/g0",
        "?department=Organization/w0", "?department=Organization/none")),
    *(get(f"/Composition/{id_}/$document{asked}") for id_ in ("b0", "j0", "none")
      for asked in ("", "?persist=true")),
    *(get(f"/ConceptMap/{at}code=8867-4&system=http://loinc.org{more}")
      for at in ("$translate?", "c1/$translate?", "none/$translate?")
      for more in ("", "&targetsystem=http://other.example", "&reverse=true")),
    get("/ConceptMap/$translate?url=http://map.example/c1&code=8867-4&system=http://loinc.org"),
    post("/ConceptMap/$translate", parameters(
        conceptMap={"resource": _MAP}, coding={"valueCoding": _RATE})),
)  # fmt: skip

OPERATIONS = (
    get("/$meta"), post("/$meta"), get("/Observation/$meta"), get("/Practitioner/$meta"),
    get("/Patient/a/$meta"),
    get("/Patient/a/$everything"), get("/Patient/a/$everything?_count=1"),
    get("/Patient/a/$everything?_type=AuditEvent,Observation"), get("/Patient/b/$everything"),
    get("/Patient/none/$everything"), post("/Patient/b/$everything"),
    get("/Encounter/e0/$everything"), get("/Encounter/k0/$everything"),
    get("/Observation/$lastn?patient=a"), get("/Observation/$lastn?patient=b&max=5"),
    get("/Observation/$lastn?patient=a,b&max=5"),
    get("/Observation/$lastn?patient=a&has-member.code=8867-4"),
    post("/Observation/$validate", vital("h0")),
    post("/Observation/h0/$validate", parameters(mode={"valueCode": "update"},
                                                 resource={"resource": vital("h0")})),
    post("/Patient/b/$validate", parameters(mode={"valueCode": "delete"})),
    post("/Patient/$validate", patient("b")),
    *(post(f"/{name}/$meta-add", TAGS) for name in IDS),
    *(post(f"/{name}/$meta-delete", LABELS) for name in IDS),
    post("/Observation/o0/$meta-add", TAGS), post("/Observation/o0/$meta-delete", TAGS),
    *(get(f"/{name}/$explain-access?user=ann") for name in IDS),
)  # fmt: skip

NEW = {name: value for name, value in vital("x").items() if name != "id"}

WRITES = (
    post("/Observation", NEW), post("/Observation", {**NEW, "hasMember": [ref("Observation/h0")]}),
    post("/Observation", {**NEW, "encounter": ref("Encounter/k0")}),
    post("/Observation", {**NEW, "subject": ref("Patient/b")}),
    post("/Observation", {**NEW, "subject": ref("Patient/none")}),
    post("/Observation", NEW, If_None_Exist="identifier=s|1"),
    post("/Observation", NEW, If_None_Exist="identifier=s|9"),
    post("/Observation", NEW, If_None_Exist="patient.name=Zoe"),
    post("/Observation", NEW, If_None_Exist="code=zzz"),
    post("/Observation", NEW, If_None_Exist="_has:List:item:_id=m0"),
    post("/Patient", {"resourceType": "Patient"}),
    post("/Practitioner", shared("Practitioner", "n")),
    put("/Patient/b", patient("b")), put("/Patient/none", patient("none")),
    put("/Patient/b", patient("b"), If_Match='W/"1"'),
    put("/Patient/b", patient("b"), If_None_Match="*"),
    *(put(f"/Observation/{id_}", vital(id_)) for id_ in ("h0", "h1", "h2", "none")),
    *(put(f"/Observation/{id_}", vital(id_), If_Match='W/"1"') for id_ in ("h0", "h1", "none")),
    *(put(f"/Observation/{id_}", vital(id_), If_Match='W/"2"') for id_ in ("h0", "none")),
    *(put(f"/Observation/{id_}", vital(id_), If_None_Match="*") for id_ in ("h0", "none")),
    put("/Observation/o2", vital("o2", derivedFrom=[ref("Observation/h0")], status="amended")),
    put("/Observation/o2", vital("o2", subject=ref("Patient/b"))),
    put("/Practitioner/q0", shared("Practitioner", "q0")),
    put("/Practitioner/p0", shared("Practitioner", "p0")),
    put("/Observation?identifier=s|9", vital("h0")), put("/Observation?identifier=s|9", NEW),
    put("/Observation?identifier=s|1", NEW), put("/Observation?identifier=s|1", vital("h0")),
    put("/Observation?code=zzz", vital("h1")), put("/Observation?patient.name=Zoe", vital("none")),
    put("/Observation?_id=h0", vital("h0")), put("/Observation?_id=o2", NEW, If_Match='W/"9"'),
    json_patch("/Observation/h0", ACTIVE), json_patch("/Observation/none", ACTIVE),
    json_patch("/Observation/h0", ACTIVE, If_Match='W/"1"'),
    json_patch("/Observation/h1", {"op": "x"}),
    json_patch("/Observation/o2", {"op": "test", "path": "/id", "value": "o2"}),
    json_patch("/Observation/o2",
               {"op": "replace", "path": "/subject/reference", "value": "Patient/b"}),
    path_patch("/Observation/h0", ("replace", "Observation.status", {"valueCode": "amended"})),
    json_patch("/Observation?identifier=s|9", ACTIVE), json_patch("/Observation?_id=h0", ACTIVE),
    json_patch("/Observation?patient.name=Adams&_id=o2", ACTIVE),
    json_patch("/Observation?_has:List:item:_id=m0", ACTIVE),
    *(delete(f"/{name}") for name in IDS), *(delete(f"/{name}", If_Match='W/"1"') for name in IDS),
    delete("/Observation/h0", Prefer="return=OperationOutcome"),
    delete("/Observation/none", Prefer="return=OperationOutcome"),
    delete("/Observation?identifier=s|9"), delete("/Observation?_id=h0,h1,none"),
    delete("/Observation?patient.name=Zoe"), delete("/Observation?code=zzz"),
    delete("/Observation?_id=o2", Prefer="return=OperationOutcome"),
)  # fmt: skip


def _each(kind: str) -> tuple[Ask, ...]:
    """Return what can be asked inside a Bundle, one by one."""
    return tuple(post("", bundle(kind, one)) for one in (
        entry("GET", "Observation/h0"), entry("GET", "Observation/h0/_history"),
        entry("GET", "Patient/b/Observation"), entry("GET", "Observation?patient.name=Zoe"),
        entry("GET", "_history"), entry("GET", "?_type=Patient&_total=accurate"),
        entry("DELETE", "Observation/h0"), entry("DELETE", "Observation/h0", ifMatch='W/"1"'),
        entry("DELETE", "Observation?identifier=s|9"), entry("PUT", "Patient/b", patient("b")),
        entry("PUT", "Observation/h0", vital("h0"), ifMatch='W/"1"'),
        entry("PUT", "Observation?code=zzz", vital("h1")),
        entry("PUT", "Observation?identifier=s|9", NEW),
        entry("POST", "Observation", NEW, ifNoneExist="identifier=s|9"),
        entry("POST", "Observation", NEW, ifNoneExist="_has:Observation:has-member:code=zzz"),
        entry("PATCH", "Observation/h0", fhirpath_patch(
            ("replace", "Observation.status", {"valueCode": "amended"}))),
        entry("PATCH", "Observation?_id=h0", fhirpath_patch(
            ("replace", "Observation.status", {"valueCode": "amended"}))),
    ))  # fmt: skip


def _referring(reference: str) -> Ask:
    return post("", bundle("transaction", entry(
        "POST", "Observation", {**NEW, "performer": [ref(reference)]})))  # fmt: skip


BUNDLES = (
    *_each("batch"), *_each("transaction"),
    post("", bundle("batch", entry("GET", "$meta"), entry("GET", "Patient/b/$everything"),
                    entry("POST", "Observation/h0/$meta-add", TAGS))),
    *(_referring(to) for to in (
        "Practitioner?name=Poe", "Practitioner?identifier=none", "Patient?identifier=s|b",
        "Patient?name=Zoe", "Patient?name=Adams", "Practitioner/none", "Encounter/k0",
        "Organization?partof.name=General", "Organization?_has:Patient:organization:name=Zoe")),
    post("", bundle(
        "transaction",
        entry("PUT", "Observation/o2", vital("o2"), fullUrl="http://fhir.test/fhir/Observation/o2"),
        entry("POST", "Condition", {"resourceType": "Condition", "subject": ref("Patient/a"),
                                    "code": coded("n"),
                                    "evidence": [{"detail": [ref("Observation/h0")]}]}),
        entry("GET", "Condition?evidence-detail=Observation/h0"))),
)  # fmt: skip

LATER = (
    *(get(address, Prefer="respond-async") for address in (
        "/Observation/h0", "/Observation?patient.name=Zoe&_total=accurate", "/_history",
        "/Patient/b/$everything", "/Patient/a/$everything", "/Observation?_revinclude=*")),
    put("/Patient/b", patient("b"), Prefer="respond-async"),
    post("", bundle("transaction", entry("DELETE", "Observation/h0")), Prefer="respond-async"),
    get("/_async/new-1"), delete("/_async/new-1"), get("/_async/none"), delete("/_async/none"),
)  # fmt: skip

DISCOVERY = (
    get("/.well-known/smart-configuration"), get("/.well-known/openid-configuration"),
)  # fmt: skip

ASKS = (
    *READS, *SEARCHES, *HISTORIES, *CONTINUITY, *OPERATIONS, *WRITES, *BUNDLES, *LATER, *DISCOVERY,
)  # fmt: skip


def covered(asks: tuple[Ask, ...]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return the (route, method) and the (operation, level) that the requests speak of."""
    routes = {(ask.route, ask.method) for ask in asks}
    levels = {"/{operation}": "system", "/{type}/{operation}": "type"}
    operations = {
        (ask.address.partition("?")[0].rpartition("$")[2], levels.get(ask.route, "instance"))
        for ask in asks
        if "{operation}" in ask.route
    }
    return routes, operations


@dataclass(frozen=True)
class Told:
    """What Ann is told: everything of an answer that she can look at."""

    ask: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


_CURSOR = re.compile(r'_cursor=[^"&\\]+')


async def told(client: httpx.AsyncClient, ask: Ask) -> list[Told]:
    """Send a request, wait for what comes later, follow the pages; return all the answers."""
    answer = await _sent(client, ask)
    found = [_told(ask, answer)]
    if answer.status_code == 202 and (where := answer.headers.get("content-location")):
        answer = await _ended(client, where)
        found.append(_told(ask, answer))
    for _ in range(PAGES):
        following = _next(answer)
        if following is None:
            break
        answer = await client.get(following, headers={"X-Request-Id": "r"})
        found.append(_told(ask, answer))
    return found


async def _sent(client: httpx.AsyncClient, ask: Ask) -> httpx.Response:
    headers = {"X-Request-Id": "r", **ask.headers}
    content = ask.body
    if content is not None and not isinstance(content, str):
        headers.setdefault("Content-Type", FHIR_JSON)
        content = json.dumps(content)
    return await client.request(ask.method, ask.address, content=content, headers=headers)


async def _ended(client: httpx.AsyncClient, where: str) -> httpx.Response:
    while True:
        answer = await client.get(where, headers={"X-Request-Id": "r"})
        if answer.status_code != 202:
            return answer
        await anyio.sleep(0.001)


def _next(answer: httpx.Response) -> str | None:
    if answer.status_code != 200 or "fhir+json" not in answer.headers.get("content-type", ""):
        return None
    links = answer.json().get("link", ())
    return next((str(one["url"]) for one in links if one["relation"] == "next"), None)


def _told(ask: Ask, answer: httpx.Response) -> Told:
    """Cursors are sealed, and differ with what they hide; all else is compared byte by byte."""
    body = _CURSOR.sub("_cursor=*", answer.text)
    masked = {"content-length"} if body != answer.text else set()
    headers = tuple(sorted((n, v) for n, v in answer.headers.items() if n not in masked))
    return Told(f"{ask.method} {ask.address}", answer.status_code, headers, body)
