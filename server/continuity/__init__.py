"""What is carried from one step of care to the next, so that a patient tells it once.

Pure rules over statements of the record (docs/continuity.md), and the reads that gather them.  The
calls are in ``server/operations``; nothing here knows of HTTP.
"""
