"""What one document of MongoDB holds, and what is said of more."""

from bson import encode
from bson.raw_bson import RawBSONDocument

from server.fhir.errors import FhirError, TooLarge
from server.store.mongo.connect import MAX_DOCUMENT_BYTES
from server.store.mongo.layout import Document
from server.store.port import Write

_ROOM_BYTES = 16 * 1024  # of a document, that the server keeps for itself


def check_size(what: str, size_bytes: int) -> None:
    """Raise TooLarge for what has no room in a document."""
    if size_bytes > MAX_DOCUMENT_BYTES - _ROOM_BYTES:
        raise TooLarge(
            f"{what} is {size_bytes} bytes, and MongoDB keeps {MAX_DOCUMENT_BYTES} in one document"
        )


def raw(document: Document) -> RawBSONDocument:
    """Return the document's bytes; raises TooLarge with its size."""
    made = encode(document)
    if len(made) > MAX_DOCUMENT_BYTES - _ROOM_BYTES:
        raise TooLarge(str(len(made)))
    return RawBSONDocument(made)


def kept_out(write: Write, error: Exception) -> FhirError:
    """Return what to tell of a write that BSON cannot hold."""
    place = f"{write.type}/{write.id}"
    if isinstance(error, TooLarge):
        return TooLarge(
            f"{place} is {error.diagnostics} bytes with its index rows, and MongoDB keeps"
            f" {MAX_DOCUMENT_BYTES} in one document"
        )
    return TooLarge(f"{place} holds what MongoDB cannot keep ({type(error).__name__})")
