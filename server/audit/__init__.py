"""Who did what to whose record: AuditEvent and Provenance, made here and kept by the store."""
