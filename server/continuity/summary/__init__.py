"""The International Patient Summary of a patient.  IPS 1.1.0; docs/continuity.md."""

from server.continuity.summary.document import summary

__all__ = ["summary"]
