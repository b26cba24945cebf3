"""HL7v2 message -> upsert plan, by maps an interface analyst reads.  Pure: no I/O, no clock."""
