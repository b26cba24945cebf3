"""The operations of this server; docs/operations.md is made from them."""

from server.operations import everything, lastn, meta, validate
from server.operations.registry import Operation

OPERATIONS: tuple[Operation, ...] = (
    validate.OPERATION,
    *meta.OPERATIONS,
    *everything.OPERATIONS,
    lastn.OPERATION,
)
