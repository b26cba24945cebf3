"""FHIRPath (hl7.org/fhirpath, R4 fhirpath.html), compiled to closures over parsed JSON."""
