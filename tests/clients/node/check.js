// Drives the server at argv[2] with fhir-kit-client; prints one JSON object of what it saw.
import { Client } from 'fhir-kit-client';
import { randomUUID } from 'node:crypto';

const fhir = new Client({ baseUrl: process.argv[2] });
const system = 'https://clients.example/node';
const value = randomUUID();
const seen = {};

const capability = await fhir.capabilityStatement();
seen.fhirVersion = capability.fhirVersion;

const patient = await fhir.create({
  resourceType: 'Patient',
  body: { resourceType: 'Patient', identifier: [{ system, value }], name: [{ family: 'Ødegård' }] },
});
seen.created = patient.meta.versionId;

const read = await fhir.read({ resourceType: 'Patient', id: patient.id });
seen.family = read.name[0].family;

const updated = await fhir.update({
  resourceType: 'Patient', id: patient.id, body: { ...read, birthDate: '1970-01' },
});
seen.updated = updated.meta.versionId;
const old = await fhir.vread({ resourceType: 'Patient', id: patient.id, version: '1' });
seen.vread = old.birthDate ?? 'none';

const patched = await fhir.patch({
  resourceType: 'Patient', id: patient.id,
  jsonPatch: [{ op: 'add', path: '/active', value: true }],
});
seen.patched = patched.active;

const transaction = await fhir.transaction({
  body: {
    resourceType: 'Bundle', type: 'transaction',
    entry: Array.from({ length: 5 }, (_, number) => ({
      fullUrl: `urn:uuid:${randomUUID()}`,
      resource: {
        resourceType: 'Observation', status: 'final', code: { text: `number ${number}` },
        subject: { reference: `Patient/${patient.id}` },
        effectiveDateTime: `2026-03-1${number}`,
      },
      request: { method: 'POST', url: 'Observation' },
    })),
  },
});
seen.transaction = transaction.entry.map((entry) => entry.response.status.slice(0, 3));

let page = await fhir.search({
  resourceType: 'Observation',
  searchParams: { patient: patient.id, _sort: 'date', _count: 2 },
});
seen.pages = [];
while (page) {
  seen.pages.push(page.entry.map((entry) => entry.resource.effectiveDateTime.slice(-2)));
  page = page.link.some((link) => link.relation === 'next') ? await fhir.nextPage({ bundle: page }) : null;
}

const found = await fhir.search({
  resourceType: 'Patient', searchParams: { identifier: `${system}|${value}` },
});
seen.found = found.entry.length;

await fhir.delete({ resourceType: 'Patient', id: patient.id });
try {
  await fhir.read({ resourceType: 'Patient', id: patient.id });
} catch (error) {
  seen.afterDelete = error.response?.status;
}

console.log(JSON.stringify(seen));
