"""HL7v2 feeds: MLLP listener, durable inbox, lanes, and applying plans to the record."""
