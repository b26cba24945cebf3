// The record's own system opens this page with ?iss=ADDRESS&launch=HANDLE (SMART app-launch.html,
// "Launch App: EHR Launch").  The app answers by asking for permission at that address.

"use strict";

const known = new URLSearchParams(location.search);

function say(text) {
  document.getElementById("say").textContent = text;
}

if (!known.get("iss") || !known.get("launch")) {
  say("This page is opened by a health record. To start by yourself, go to the app's first page.");
} else {
  FHIR.oauth2
    .authorize({
      clientId: EXAMPLE.clientId,
      scope: EXAMPLE.scopesOfLaunch,
      redirectUri: "index.html",
      pkceMode: "required",
    })
    .catch((error) => say(`The record could not be asked: ${error.message}`));
}
