"""C6 Author: patient, proxy, clinician and device stay distinct."""

from itertools import permutations

import pytest

from server.continuity.statement import AuthorKind
from tests.continuity.rules.made import SMOKING, judged, said

PERSONS: tuple[AuthorKind, ...] = ("patient", "proxy", "clinician", "device")
KINDS: tuple[AuthorKind, ...] = (*PERSONS, "feed")


@pytest.mark.parametrize(("newer", "older"), list(permutations(KINDS, 2)))
def test_no_kind_of_author_replaces_another(newer: AuthorKind, older: AuthorKind) -> None:
    two = (said("new", days=1, who=newer), said("old", days=9, who=older, id_="2"))
    assert judged(SMOKING, *two)[0] == "conflict"
    assert judged(SMOKING, *two, without="C6") == ("known", "C1 holds", "new")


@pytest.mark.parametrize("kind", PERSONS)
def test_each_kind_corrects_itself(kind: AuthorKind) -> None:
    two = (said("new", days=1, who=kind), said("old", days=9, who=kind, id_="2"))
    assert judged(SMOKING, *two) == ("known", "C1 holds", "new")


def test_a_feed_corrects_itself_and_is_confirmed() -> None:
    two = (said("new", days=1, who="feed"), said("old", days=9, who="feed", id_="2"))
    assert judged(SMOKING, *two) == ("confirm", "C6 nobody named", "new")


def test_what_nobody_in_particular_said_is_confirmed() -> None:
    assert judged(SMOKING, said(who="unknown")) == ("confirm", "C6 nobody named", "x")
