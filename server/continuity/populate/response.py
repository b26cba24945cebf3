"""The QuestionnaireResponse of a population.  R4 questionnaireresponse.html, SDC 4.0 populate.

Every item of the form is there, in its order.  The extension ``known`` of an item says what is
known of it; an answer is there only where that is ``known`` or ``confirm``, and says by Da Vinci
DTR's ``information-origin`` that nobody has looked at it yet.
"""

from collections.abc import Sequence
from typing import Any

from server.continuity.confirm import KNOWN, ORIGIN
from server.continuity.form import Form
from server.continuity.known import Candidate, Known
from server.continuity.populate.proposed import Node
from server.continuity.statement import Source
from server.fhir.dates import instant_text

SHOWN = frozenset(("known", "confirm"))


def skeleton(form: Form, patient: str, at: int) -> dict[str, Any]:
    """Return the response without items."""
    made: dict[str, Any] = {"resourceType": "QuestionnaireResponse"}
    if form.canonical:
        made["questionnaire"] = form.canonical
    return {
        **made,
        "status": "in-progress",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": instant_text(at),
    }


def items(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Return the items of nodes."""
    return [_item(node) for node in nodes]


def _item(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {"linkId": node.item.link_id}
    if node.item.definition:
        made["definition"] = node.item.definition
    if node.item.text:
        made["text"] = node.item.text
    answers: list[dict[str, Any]] = []
    if node.known is not None:
        made["extension"] = [_known(node.known)]
        answers = [_answer(one) for one in shown(node.known)]
    below = items(node.children)
    if answers:
        if below:  # R4: under a question that is answered its items are under the answer
            answers[0]["item"] = below
        made["answer"] = answers
    elif below:
        made["item"] = below
    return made


def shown(known: Known) -> tuple[Candidate, ...]:
    """Return the answers that are shown of an item."""
    if known.state not in SHOWN:
        return ()
    return known.candidates if known.item.repeats else known.candidates[:1]


def sources(known: Known) -> list[Source]:
    """Return every version that something of an item was made of."""
    found = (source for one in known.candidates for source in one.sources)
    return list(dict.fromkeys(found))


def _answer(candidate: Candidate) -> dict[str, Any]:
    origin = {"url": ORIGIN, "extension": [{"url": "source", "valueCode": "auto"}]}
    value = {name: part for name, part in candidate.value.items() if name.startswith("value")}
    return {"extension": [origin], **value}


def _known(known: Known) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "state", "valueCode": known.state}]
    if known.rule:
        parts.append({"url": "rule", "valueString": known.rule})
    parts += [
        {"url": "source", "valueReference": {"reference": text}}
        for text in dict.fromkeys(one.reference for one in sources(known))
    ]
    said = [one.said_at for one in shown(known)]
    if said and None not in said:
        at = min(one for one in said if one is not None)
        parts.append({"url": "said-at", "valueDateTime": instant_text(at)})
    return {"url": KNOWN, "extension": parts}
