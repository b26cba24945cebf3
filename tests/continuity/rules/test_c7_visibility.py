"""C7 Visibility: what was made of something hidden is not there, and leaves no trace."""

from server.continuity.rules.visibility import visible
from tests.continuity.rules.made import SMOKING, judged, said

COPY = said(origins=frozenset(("QuestionnaireResponse/hidden",)))


def test_a_statement_is_seen_with_all_that_it_was_made_from() -> None:
    assert visible(said(), ())
    assert not visible(COPY, ("QuestionnaireResponse/other",))
    assert visible(COPY, ("QuestionnaireResponse/hidden",))


def test_a_copy_of_a_hidden_source_is_asked_for_like_what_was_never_there() -> None:
    assert judged(SMOKING, COPY) == judged(SMOKING) == ("ask", "no source")
    assert judged(SMOKING, COPY, without="C7")[0] == "known"


def test_a_hidden_contradiction_is_no_conflict() -> None:
    secret = said("y", who="patient", id_="2", origins=frozenset(("Observation/hidden",)))
    assert judged(SMOKING, said("x"), secret) == ("known", "C1 holds", "x")
