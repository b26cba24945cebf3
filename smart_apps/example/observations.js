// Observations as people read them, and as a patient's measurement is written.

"use strict";

const LOINC = "http://loinc.org";
const UCUM = "http://unitsofmeasure.org";

// What a patient can measure without help.  `limits` catch a slip of the finger, no more.
const KINDS = {
  "29463-7": { name: "Weight", unit: "kg", code: "kg", limits: [1, 500] },
  "8310-5": { name: "Temperature", unit: "°C", code: "Cel", limits: [25, 45] },
  "8867-4": { name: "Pulse", unit: "beats/minute", code: "/min", limits: [20, 300] },
  "85354-9": {
    name: "Blood pressure",
    unit: "mmHg",
    code: "mm[Hg]",
    limits: [20, 300],
    parts: ["8480-6", "8462-4"],
  },
};

function quantity(kind, value) {
  return { value, unit: kind.unit, system: UCUM, code: kind.code };
}

function concept(code, text) {
  return { coding: [{ system: LOINC, code }], text };
}

/** Return the Observation that says: this patient measured it, now, at home. */
function measured(code, values, patient, now) {
  const kind = KINDS[code];
  const made = {
    resourceType: "Observation",
    status: "final",
    category: [
      {
        coding: [
          {
            system: "http://terminology.hl7.org/CodeSystem/observation-category",
            code: "vital-signs",
          },
        ],
      },
    ],
    code: concept(code, kind.name),
    subject: { reference: `Patient/${patient}` },
    performer: [{ reference: `Patient/${patient}` }],
    effectiveDateTime: now.toISOString(),
  };
  if (!kind.parts) return { ...made, valueQuantity: quantity(kind, values[0]) };
  const component = kind.parts.map((part, at) => ({
    code: concept(part, at ? "Diastolic" : "Systolic"),
    valueQuantity: quantity(kind, values[at]),
  }));
  return { ...made, component };
}

function nameOf(concept_) {
  const coding = concept_?.coding ?? [];
  const known = coding.find((one) => one.system === LOINC && KINDS[one.code]);
  const named = coding.find((one) => one.display);
  return (known && KINDS[known.code].name) || concept_?.text || named?.display || "Observation";
}

function shown(value) {
  return value === undefined ? "" : `${value.value} ${value.unit ?? value.code ?? ""}`.trim();
}

/** Return name, value, day and who measured, as text. */
function described(observation) {
  const parts = (observation.component ?? []).map((one) => one.valueQuantity).filter(Boolean);
  const same = parts.length > 1 && parts.every((one) => one.unit === parts[0].unit);
  const together = same
    ? `${parts.map((one) => one.value).join("/")} ${parts[0].unit}`
    : parts.map(shown).join(", ");
  const value =
    shown(observation.valueQuantity) ||
    observation.valueString ||
    observation.valueCodeableConcept?.text ||
    observation.valueCodeableConcept?.coding?.[0]?.display ||
    together ||
    "no value";
  const at = observation.effectiveDateTime ?? observation.effectivePeriod?.start ?? observation.issued;
  const byPatient = (observation.performer ?? []).some((one) =>
    /(^|\/)Patient\//.test(one.reference ?? ""),
  );
  return {
    name: nameOf(observation.code),
    value,
    day: at ? at.slice(0, 10) : "no date",
    by: byPatient ? "told by the patient" : "",
  };
}
