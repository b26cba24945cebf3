"""C5 Subject: only what is said of this patient answers what is asked of this patient.

``subject`` is the patient and there is no ``focus``.  FamilyMemberHistory, contacts, the guarantor,
mother and newborn never answer a patient's item; they answer what is asked of them.
"""

from server.continuity.rules.case import Case
from server.continuity.statement import About, Statement


def speaks_of(statement: Statement, asked: About) -> bool:
    """Tell whether the statement is about whom the question is about."""
    return statement.about == asked


def rule(case: Case) -> Case:
    """Leave out what is said of somebody else, as if it were not there."""
    asked = case.question.topic.about
    gone = [one for one in case.said if not speaks_of(one.statement, asked)]
    return case.without(gone, "", "")
