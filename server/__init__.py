"""The FHIR server: one floor a package; .importlinter says which is above which."""
