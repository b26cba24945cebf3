"""Every way a request can fail, each with its HTTP status and R4 issue type.

To add an error, add a class here.  Nothing else in the project knows a status code of a failure.
Issue types: https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Severity = Literal["fatal", "error", "warning", "information"]
IssueType = Literal[
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
]


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, and where.

    ``expression`` is a FHIRPath into the resource sent (``Patient.name[0].family``), or the name
    of the parameter or header at fault; ``line`` and ``column`` count from 1 in the bytes sent.
    """

    severity: Severity
    code: IssueType
    diagnostics: str
    expression: tuple[str, ...] = ()
    line: int | None = None
    column: int | None = None

    def to_fhir(self) -> dict[str, Any]:
        """Return the ``OperationOutcome.issue`` element (``location`` carries line and column)."""
        made: dict[str, Any] = {
            "severity": self.severity,
            "code": self.code,
            "diagnostics": self.diagnostics,
        }
        if self.line is not None:
            column = f", column {self.column}" if self.column is not None else ""
            made["location"] = [f"line {self.line}{column}"]
        if self.expression:
            made["expression"] = list(self.expression)
        return made


class FhirError(Exception):
    """A failure that the client is told about; anything else is a bug (500)."""

    status: ClassVar[int] = 500
    issue: ClassVar[IssueType] = "exception"

    def __init__(
        self,
        diagnostics: str,
        *,
        expression: tuple[str, ...] = (),
        issues: Sequence[Issue] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics
        self.expression = expression
        self.retry_after_s = retry_after_s
        self.issues: tuple[Issue, ...] = tuple(issues) or (
            Issue("error", self.issue, diagnostics, expression),
        )


class InvalidJson(FhirError):
    """The body is not JSON that FHIR allows: syntax, encoding, duplicate keys, depth, NaN (L0)."""

    status = 400
    issue = "structure"


class InvalidXml(FhirError):
    """The body is not XML that FHIR allows: syntax, encoding, DOCTYPE, unknown elements, depth."""

    status = 400
    issue = "structure"


class InvalidResource(FhirError):
    """The body is JSON, but not a valid R4 resource (L1); carries all issues at once."""

    status = 422
    issue = "invalid"


class InvalidRequest(FhirError):
    """A header, path or body contradicts the interaction asked for."""

    status = 400
    issue = "invalid"


class InvalidSearch(FhirError):
    """A search parameter, modifier, prefix, value or cursor that cannot be read."""

    status = 400
    issue = "invalid"


class InvalidParameter(FhirError):
    """An operation was called with a parameter it does not have or cannot read."""

    status = 400
    issue = "invalid"


class LoginRequired(FhirError):
    """No token, or one that is unknown or expired."""

    status = 401
    issue = "login"


class Forbidden(FhirError):
    """The token is good, but does not allow this."""

    status = 403
    issue = "forbidden"


class TooCostly(FhirError):
    """The answer would exceed a limit named in the diagnostics, with the way round it."""

    status = 403
    issue = "too-costly"


class NotFound(FhirError):
    """No resource of that type has ever had that id, or the caller may not see it."""

    status = 404
    issue = "not-found"


class NotSupported(FhirError):
    """R4 has it, this server does not (yet); the diagnostics say what to use instead."""

    status = 404
    issue = "not-supported"


class MethodNotAllowed(FhirError):
    """The URL exists, but not with this HTTP method."""

    status = 405
    issue = "not-supported"


class ReadOnly(MethodNotAllowed):
    """The type can be read, and is written by the server alone."""


class NotAcceptable(FhirError):
    """None of the formats asked for can be produced."""

    status = 406
    issue = "not-supported"


class Conflict(FhirError):
    """A commit found the record changed under its feet, again and again; try again."""

    status = 409
    issue = "conflict"


class Gone(FhirError):
    """The resource existed and its latest version is a deletion."""

    status = 410
    issue = "deleted"


class VersionConflict(FhirError):
    """``If-Match`` names a version that is no longer the latest (R4 http.html#concurrency)."""

    status = 412
    issue = "conflict"


class MultipleMatches(FhirError):
    """A conditional interaction matched more than one resource (R4 http.html#cond-update)."""

    status = 412
    issue = "multiple-matches"


class TooLarge(FhirError):
    """The body is larger than the limit named in the diagnostics."""

    status = 413
    issue = "too-long"


class UnsupportedMediaType(FhirError):
    """The body is in a format that this server does not read."""

    status = 415
    issue = "not-supported"


class BusinessRule(FhirError):
    """A rule of this server's operator refuses it, e.g. deletion of clinical resources."""

    status = 422
    issue = "business-rule"


class Throttled(FhirError):
    """Too many requests; ``Retry-After`` says when to come back."""

    status = 429
    issue = "throttled"


class Interrupted(FhirError):
    """The server ended before an asynchronous request did; what came of it is not known."""

    status = 500
    issue = "incomplete"


class StoreUnavailable(FhirError):
    """The store cannot be reached or cannot write (disk full); nothing was acknowledged.

    ``in_full``: what commands and logs are told instead, as ``str(error)``.  A caller has no use
    for where the store is; who looks after the server has.

    >>> away = StoreUnavailable("the store cannot be reached", in_full="MongoDB at h1:27017 ...")
    >>> str(away), away.diagnostics
    ('MongoDB at h1:27017 ...', 'the store cannot be reached')
    """

    status = 503
    issue: ClassVar[IssueType] = "no-store"

    def __init__(
        self,
        diagnostics: str,
        *,
        in_full: str = "",
        expression: tuple[str, ...] = (),
        issues: Sequence[Issue] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(
            diagnostics, expression=expression, issues=issues, retry_after_s=retry_after_s
        )
        self.args = (in_full or diagnostics,)


class IndexUnfinished(StoreUnavailable):
    """The index of a parameter is still being made, and a part of the answer would not do."""

    issue: ClassVar[IssueType] = "incomplete"


class DeadlineExceeded(FhirError):
    """A query ran past its deadline; the diagnostics hold what to narrow."""

    status = 503
    issue = "too-costly"


def operation_outcome(error: BaseException) -> dict[str, Any]:
    """Translate any exception to an OperationOutcome; a bug's text is never shown.

    Used by the REST exception handler and, entry by entry, by batch.

    >>> operation_outcome(KeyError("secret"))["issue"][0]["diagnostics"]
    'internal error'
    """
    known = error if isinstance(error, FhirError) else FhirError("internal error")
    return outcome(known.issues)


def outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """Return an OperationOutcome with ``issues``, in their order."""
    return {"resourceType": "OperationOutcome", "issue": [issue.to_fhir() for issue in issues]}
