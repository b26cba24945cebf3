// A whole SMART app: it asks for permission, shows what is known, and lets a patient add what was
// measured at home, so that nobody has to ask for it again.  npm's `fhirclient` does the protocol.

"use strict";

const at = (id) => document.getElementById(id);

function say(text) {
  at("say").textContent = text;
}

function show(...ids) {
  for (const id of ids) at(id).hidden = false;
}

/** Tell whether the permission that was granted covers adding vital signs. */
function mayAdd(scope) {
  return scope.split(" ").some((one) => {
    const asked = /^patient\/(Observation|\*)\.([a-z*]+)/.exec(one);
    return asked && (["*", "write"].includes(asked[2]) || /^cr?u?d?s?$/.test(asked[2]));
  });
}

async function showPatient(client) {
  const patient = await client.patient.read();
  const name = patient.name?.find((one) => one.use === "official") ?? patient.name?.[0] ?? {};
  at("name").textContent =
    name.text ?? [...(name.given ?? []), name.family].filter(Boolean).join(" ");
  at("details").textContent = [patient.birthDate, patient.gender].filter(Boolean).join(" · ");
  if (client.encounter.id) {
    const encounter = await client.encounter.read();
    const place = encounter.location?.[0]?.location?.display ?? encounter.serviceType?.text;
    at("context").textContent = `Opened during a visit${place ? `: ${place}` : ""} (${encounter.status})`;
    show("context");
  }
  show("banner");
}

async function latest(client) {
  const found = await client.request(
    `Observation?patient=${client.patient.id}&_sort=-date&_count=20`,
    { flat: true },
  );
  return found.filter((one) => one.resourceType === "Observation");
}

async function showLatest(client) {
  const observations = await latest(client);
  const list = at("observations");
  list.replaceChildren();
  for (const one of observations) {
    const { name, value, day, by } = described(one);
    const item = document.createElement("li");
    const when = [day, by].filter(Boolean).join(", ");
    for (const [class_, text] of Object.entries({ what: name, value, when })) {
      const part = document.createElement("span");
      part.className = class_;
      part.textContent = text;
      item.append(part, " ");
    }
    list.append(item);
  }
  at("nothing").hidden = observations.length > 0;
  show("latest");
  return observations;
}

/** Say what is known of the chosen kind already: nobody is to tell it twice. */
function chosen(observations) {
  const kind = KINDS[at("kind").value];
  at("value-label").textContent = `${kind.parts ? "Upper value" : kind.name} (${kind.unit})`;
  at("second-field").hidden = !kind.parts;
  at("second").required = Boolean(kind.parts);
  for (const field of [at("value"), at("second")]) [field.min, field.max] = kind.limits;
  const last = observations.find((one) =>
    one.code?.coding?.some((coding) => coding.system === LOINC && coding.code === at("kind").value),
  );
  const { value, day } = last ? described(last) : {};
  at("told").textContent = last
    ? `Already known: ${value} (${day}). There is no need to tell it again.`
    : "Not known yet.";
}

function offerToAdd(client, observations) {
  let known = observations;
  for (const [code, kind] of Object.entries(KINDS)) at("kind").add(new Option(kind.name, code));
  at("kind").addEventListener("change", () => chosen(known));
  chosen(known);
  at("measure").addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = [at("value"), at("second")].map((field) => Number(field.value));
    const made = measured(at("kind").value, values, client.patient.id, new Date());
    try {
      await client.create(made);
      known = await showLatest(client);
      event.target.reset();
      at("kind").value = made.code.coding[0].code;
      chosen(known);
      say("Thank you. Your care team can see it now.");
    } catch (error) {
      say(`It was not taken: ${error.message}`);
    }
  });
  show("add");
}

/** Give the permission back (RFC 7009), so that nothing is left behind on this device. */
async function leave(client) {
  const { serverUrl, clientId, tokenResponse } = client.state;
  try {
    const wellKnown = await fetch(`${serverUrl}/.well-known/smart-configuration`);
    const { revocation_endpoint: address } = await wellKnown.json();
    const token = tokenResponse.refresh_token ?? tokenResponse.access_token;
    await fetch(address, { method: "POST", body: new URLSearchParams({ token, client_id: clientId }) });
  } finally {
    sessionStorage.clear();
    location.replace("index.html");
  }
}

function start() {
  at("server").value = EXAMPLE.server;
  at("connect").addEventListener("submit", (event) => {
    event.preventDefault();
    say("Asking the record for permission …");
    FHIR.oauth2
      .authorize({
        iss: at("server").value.replace(/\/$/, ""),
        clientId: EXAMPLE.clientId,
        scope: EXAMPLE.scopes,
        redirectUri: "index.html",
        pkceMode: "required",
      })
      .catch((error) => say(`The record could not be asked: ${error.message}`));
  });
  show("start");
}

async function main() {
  const asked = new URLSearchParams(location.search);
  if (asked.has("error")) {
    say(asked.get("error") === "access_denied" ? "You said no. Nothing was shared." : asked.get("error"));
    history.replaceState({}, "", "index.html");
    sessionStorage.clear();
    return start();
  }
  if (!asked.has("code") && !sessionStorage.getItem("SMART_KEY")) return start();
  const client = await FHIR.oauth2.ready();
  show("leave");
  at("leave").addEventListener("click", () => leave(client));
  await showPatient(client);
  const scope = client.state.tokenResponse.scope ?? "";
  const observations = /patient\/(Observation|\*)\.(read|\*|[a-z]*r?[a-z]*s)/.test(scope)
    ? await showLatest(client)
    : [];
  if (client.user.resourceType !== "Practitioner" && mayAdd(scope)) offerToAdd(client, observations);
}

main().catch((error) => {
  say(`This did not work: ${error.message}`);
  show("leave");
  at("leave").addEventListener("click", () => {
    sessionStorage.clear();
    location.replace("index.html");
  });
});
