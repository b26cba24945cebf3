"""The rules C1 to C7 (docs/continuity.md), one small function each.  Pure: time is an argument."""
