"""C1 Validity: how long what was said holds, by its topic.

``carry`` | ``expire`` | ``confirm-each-encounter`` | ``never-carry``; what is not listed is
confirmed.  Where question and statement are of different topics, the sooner one counts.
"""

from dataclasses import replace

from server.continuity.rules.case import Case, Said, Visit
from server.continuity.validity import Holding, Topic, stricter
from server.fhir.dates import DAY

AHEAD_US = 7 * DAY  # by which a form for a visit may be filled in before it; else a date is wrong
LONGEST_US = 14 * DAY

NEVER = "C1 never carried"
UNLISTED = "C1 not listed"
ALWAYS = "C1 always confirmed"
EXPIRED = "C1 expired"
EACH = "C1 each encounter"
SINCE = ("C1 list", "What the list has stays so; what came since is not in it.")


def holds(holding: Holding, said_at: int | None, now: int) -> bool:
    """Tell whether what was said at a time still holds; never without a rule that says so.

    An unknown time is for C2 to tell of: it has no age here.
    """
    if holding.kind == "carry":
        return True
    return holding.kind == "expire" and (said_at is None or now - said_at <= holding.days * DAY)


def said_here(one: Said, visit: Visit | None, now: int) -> bool:
    """Tell whether it was said in this encounter, or confirmed since it began.

    An encounter that nobody closed is not the same visit after weeks.
    """
    if visit is None or one.said_at is None or now - one.said_at > LONGEST_US:
        return False
    if visit.start is None:
        return one.statement.encounter == visit.reference
    ahead = AHEAD_US if one.statement.encounter == visit.reference else 0
    return one.said_at >= visit.start - ahead


def topic_of(case: Case, one: Said) -> Topic:
    """Return the topic by which it is judged."""
    own = case.policy.topic(one.statement.topic)
    asked = case.question.topic
    if not asked.name:
        return own
    return stricter(asked, own) if own.name else asked


def rule(case: Case) -> Case:
    """Leave out what is never carried; let be confirmed what does not hold any more."""
    topics = {id(one): topic_of(case, one) for one in case.said}
    never = [o for o in case.said if topics[id(o)].holding.kind == "never-carry"]
    why = next((topics[id(one)].why for one in never), "")
    case = case.without(never, NEVER, why)
    if case.question.topic.holding.kind == "never-carry":
        why = case.question.topic.why
        return replace(case, said=(), state=None, rule=NEVER, reason=why)
    return case.each(lambda one: _aged(case, topics[id(one)], one))


def _aged(case: Case, topic: Topic, one: Said) -> Said:
    kind = topic.holding.kind
    if kind == "carry" and case.question.whole:
        return one if said_here(one, case.visit, case.now) else one.only_confirm(*SINCE)
    if kind == "confirm":
        return one.only_confirm(ALWAYS if topic.name else UNLISTED, topic.why)
    if kind == "confirm-each-encounter":
        return one if said_here(one, case.visit, case.now) else one.only_confirm(EACH, topic.why)
    return one if holds(topic.holding, one.said_at, case.now) else one.only_confirm(
        EXPIRED, f"It was said more than {topic.holding.days} days ago. {topic.why}")  # fmt: skip
