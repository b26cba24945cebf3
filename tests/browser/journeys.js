// What people do, step by step.  Each journey returns facts; ../test_browser.py says what they are.

import { Watch } from "./watch.js";

const text = async (page, selector) => (await page.locator(selector).allInnerTexts()).join("; ");

async function open(watch, world) {
  const { page } = watch;
  await page.goto(`${world.app}/index.html`);
  await page.getByLabel("Address of the record").fill(world.base);
  await page.getByRole("button", { name: "Connect" }).click();
}

async function logIn({ page }, world, name) {
  await page.waitForURL("**/auth/login**");
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(world.password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
}

async function connected({ page }, world) {
  await page.waitForURL(`${world.app}/index.html**`);
  await page.locator("#banner").waitFor();
}

/** What the app was given, read where npm's fhirclient keeps it. */
const given = ({ page }) =>
  page.evaluate(() => {
    const key = JSON.parse(sessionStorage.getItem("SMART_KEY"));
    return JSON.parse(sessionStorage.getItem(key)).tokenResponse;
  });

/** Call the record as the app does; return the status. */
const call = ({ page }, path) =>
  page.evaluate(async (path_) => {
    const client = await FHIR.oauth2.ready();
    return client.request(path_).then(() => 200, (error) => error.status ?? String(error));
  }, path);

async function patientByKeyboard(browser, world) {
  const watch = await Watch.open(browser);
  const { page } = watch;
  await page.goto(`${world.app}/index.html`);
  await watch.look("app: start");
  await watch.type(page.getByLabel("Address of the record"), world.base);
  await page.keyboard.press("Enter");

  await page.waitForURL("**/auth/login**");
  await watch.look("login");
  await watch.type(page.getByLabel("User name"), "ada");
  await watch.type(page.getByLabel("Password"), "wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await watch.look("login refused");
  const alert = await text(page, "[role=alert]");
  watch.complaints = watch.complaints.filter((one) => !one.includes("403")); // asked for, above
  await watch.type(page.getByLabel("Password"), world.password);
  await page.keyboard.press("Enter");

  await page.getByRole("button", { name: "Allow", exact: true }).waitFor();
  await watch.look("consent");
  const asked = await page.locator("input[name=scope]:checked").count();
  await watch.press(page.locator('input[name=scope][value^="patient/Observation.c"]').first(), "Space");
  await watch.press(page.getByRole("button", { name: "Allow", exact: true }), "Enter");

  await connected(watch, world);
  await page.locator("#observations li").first().waitFor();
  await watch.look("app: connected");
  const { scope, patient } = await given(watch);
  const facts = {
    alert,
    asked,
    scope,
    patient,
    name: await text(page, "#name"),
    observations: await page.locator("#observations li").allInnerTexts(),
    mayAdd: await page.locator("#add").isVisible(),
    foreign: await call(watch, "Patient/bob"),
  };
  watch.complaints = watch.complaints.filter((one) => !/40[34]/.test(one)); // asked for, above
  return finish(watch, facts);
}

async function patientAdds(browser, world) {
  const watch = await Watch.open(browser, { viewport: { width: 1200, height: 800 } });
  const { page } = watch;
  await open(watch, world);
  await logIn(watch, world, "ada");
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await connected(watch, world);
  await page.locator("#add").waitFor();
  const before = await text(page, "#told");
  await page.getByLabel("Weight (kg)").fill("60.2");
  await page.getByRole("button", { name: "Tell my care team" }).click();
  await page.getByText("Thank you.").waitFor();
  const first = await given(watch);
  await page.evaluate(async () => (await FHIR.oauth2.ready()).refresh());
  const second = await given(watch);
  const status = await call(watch, "Patient/ada");
  const facts = {
    before,
    after: await text(page, "#told"),
    newest: await page.locator("#observations li").first().innerText(),
    refreshed: first.access_token !== second.access_token,
    rotated: first.refresh_token !== second.refresh_token,
    status,
    fhirUser: await page.evaluate(async () => (await FHIR.oauth2.ready()).user.fhirUser),
  };
  return { ...facts, ...(await takesAway(watch, world)) };
}

/** The person takes the app's access away, and logs out. */
async function takesAway(watch, world) {
  const app = watch.page;
  const page = await watch.context.newPage();
  watch.page = page;
  await page.goto(`${world.root}/auth/apps`);
  await watch.look("apps");
  const listed = await text(page, "main");
  await page.getByRole("button", { name: "Take access away from Told once" }).first().click();
  await page.waitForURL("**/auth/apps**");
  const left = await text(page, "main");
  watch.page = app;
  const revoked = await call(watch, "Patient/ada");
  await app.reload();
  await app.locator("#start").waitFor(); // npm's fhirclient forgets what is of no use any more
  await app.getByLabel("Address of the record").fill(world.base);
  await app.getByRole("button", { name: "Connect" }).click();
  await app.getByRole("button", { name: "Allow", exact: true }).waitFor();
  const again = new URL(app.url()).pathname.split("/").at(-1);
  await page.goto(`${world.root}/auth/`);
  watch.page = page;
  await watch.look("home");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("You are logged out.").waitFor();
  await watch.look("logged out");
  await page.goto(`${world.root}/auth/apps`);
  const loggedOut = new URL(page.url()).pathname;
  watch.complaints = watch.complaints.filter((one) => !/40[01]/.test(one)); // asked for, above
  return finish(watch, { listed, left, revoked, again, loggedOut });
}

async function patientRefuses(browser, world) {
  const watch = await Watch.open(browser);
  await open(watch, world);
  await logIn(watch, world, "bob");
  await watch.page.getByRole("button", { name: "Do not allow" }).click();
  await watch.page.waitForURL(`${world.app}/**`);
  await watch.page.locator("#start").waitFor();
  return finish(watch, { said: await text(watch.page, "#say") });
}

async function clinicianLaunches(browser, world) {
  const watch = await Watch.open(browser);
  const { page } = watch;
  await page.goto(`${world.root}/auth/launch`);
  await logIn(watch, world, "ruth");
  await page.waitForURL("**/auth/launch");
  await watch.look("choose an app");
  await page.getByRole("button", { name: "Told once" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Lovelace");
  await page.getByRole("button", { name: "Search" }).click();
  await watch.look("choose a patient");
  await page.getByRole("button", { name: /Lovelace/ }).click();
  await page.waitForURL("**/auth/launch/visit**");
  await watch.look("choose a visit");
  await page.getByRole("button", { name: /Outpatient visit/ }).click();
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await connected(watch, world);
  await page.locator("#observations li").first().waitFor();
  await watch.look("app: during a visit");
  const { encounter, need_patient_banner: banner } = await given(watch);
  return finish(watch, {
    encounter,
    banner,
    name: await text(page, "#name"),
    context: await text(page, "#context"),
    observations: await page.locator("#observations li").allInnerTexts(),
    mayAdd: await page.locator("#add").isVisible(),
    refreshed: await page.evaluate(async () => {
      const client = await FHIR.oauth2.ready();
      const before = client.state.tokenResponse.access_token;
      return (await client.refresh()).tokenResponse.access_token !== before;
    }),
  });
}

async function whoOpened(browser, world) {
  const watch = await Watch.open(browser);
  const { page } = watch;
  await page.goto(`${world.root}/auth/opened`);
  await logIn(watch, world, "ada");
  await page.waitForURL("**/auth/opened**");
  await watch.look("opened");
  return finish(watch, { opened: await text(page, "main") });
}

async function frames(browser, world) {
  const watch = await Watch.open(browser);
  const { page } = watch;
  await page.route("http://framer.test/", (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<title>x</title><iframe src="${world.root}/auth/login"></iframe>`,
    }),
  );
  await page.goto("http://framer.test/");
  const inside = page.frames()[1]?.url();
  await watch.close();
  return { inside };
}

async function strangers(browser, world) {
  const watch = await Watch.open(browser);
  const answer = await watch.page.goto(
    `${world.root}/auth/authorize?response_type=code&client_id=nobody&redirect_uri=${world.app}/`,
  );
  await watch.look("unknown app");
  watch.complaints = watch.complaints.filter((one) => !one.includes("400")); // asked for, above
  return finish(watch, {
    status: answer.status(),
    at: new URL(watch.page.url()).pathname,
    heading: await text(watch.page, "h1"),
  });
}

async function finish(watch, facts) {
  await watch.close();
  return { ...facts, complaints: watch.complaints, pages: watch.pages };
}

// In this order: later ones look at what earlier ones did.
export default {
  patientByKeyboard,
  patientAdds,
  patientRefuses,
  clinicianLaunches,
  whoOpened,
  frames,
  strangers,
};
