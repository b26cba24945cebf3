// What is registered at the server: `tellonce client add` (see README.md).

"use strict";

const VITAL_SIGNS =
  "category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs";

const EXAMPLE = {
  // Offered on the first page; a launch from the record names its own address.
  server: "http://127.0.0.1:8080/fhir",
  clientId: "told-once",
  // A patient who opens the app: reads, and adds vital signs, nothing else.
  scopes: [
    "launch/patient openid fhirUser offline_access",
    "patient/Patient.r patient/Observation.rs",
    `patient/Observation.c?${VITAL_SIGNS}`,
  ].join(" "),
  // A clinician who opens it from the record: reads, as long as they are logged in there.
  scopesOfLaunch:
    "launch openid fhirUser online_access patient/Patient.r patient/Observation.rs patient/Encounter.r",
};
