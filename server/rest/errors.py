"""The only place where an exception becomes an HTTP response: always an OperationOutcome."""

from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, LoginRequired, ReadOnly, operation_outcome, outcome
from server.rest.answer import Answer, Header, fhir


def failure(error: FhirError) -> Answer:
    """Return the answer to a failure that the client is told about."""
    headers: list[Header] = []
    if isinstance(error, LoginRequired):
        headers.append((b"www-authenticate", b'Bearer realm="fhir"'))
    if isinstance(error, ReadOnly):
        headers.append((b"allow", b"GET, HEAD, OPTIONS"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    return fhir(error.status, fhir_json.dumps(operation_outcome(error)), *headers)


def bug(request_id: str) -> Answer:
    """Return the answer to anything else: what happened is in the log, under the request's id."""
    told = FhirError(f"internal error; the server's log has it as request {request_id}")
    return fhir(500, fhir_json.dumps(outcome(told.issues)))
