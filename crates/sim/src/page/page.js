"use strict";
// Asks for what there is once a second and draws it anew where it differs. What comes from the world is only ever
// set as text.

const SHOWN = 200;
const EVERY_MS = 1000;
const find = (selector) => document.querySelector(selector);
const key = { "x-landfall-key": find("meta[name=admin-key]").content };
const drawn = new Map();
let world = null;
let known = [];
let last = null;

/**
 * Escapes what would hide or reorder text: control characters, bidirectional controls and invisible characters.
 * The list is that of the program's own output.
 */
function visible(text) {
  const deceptive = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
  return text.replace(deceptive, (found) =>
    found === "\n" || found === "\t" ? found : `\\u{${found.codePointAt(0).toString(16)}}`);
}

/** Makes an element; children are elements or texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "title") element.title = visible(value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  const shown = children.filter((child) => child !== null);
  element.append(...shown.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return element;
}

/** Draws a list anew when what it shows has changed, so that nothing moves under a pointer or a selection. */
function draw(place, shown, build, nothing) {
  const text = JSON.stringify(shown);
  if (drawn.get(place) === text) return;
  drawn.set(place, text);
  const elements = shown.map(build);
  find(place).replaceChildren(...(elements.length ? elements : [make("p", { className: "empty" }, nothing)]));
}

function state(word) {
  const lower = (word || "").toLowerCase();
  let mood = "busy";
  if (["", "succeeded", "ready", "programmed"].includes(lower)) mood = "good";
  if (["failed", "canceled", "stopped"].includes(lower)) mood = "bad";
  return make("span", { className: `state ${mood}` }, word || "there");
}

/** Turns what stands between backquotes into code. */
function marked(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

/** What is last in an id is the thing, what is before it its type. */
function short(id) {
  const parts = id.split("/");
  return { name: parts.at(-1), type: parts.at(-2) || "" };
}

function spoken(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function showTime() {
  const instant = world.speed === "instant";
  find("#now").textContent = world.now.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  find("#now").dateTime = world.now;
  const ahead = world.aheadSeconds > 0 ? `, ${spoken(world.aheadSeconds)} ahead of real time` : "";
  find("#pace").textContent = (instant ? "instant" : `${world.speed} × real time`) + ahead;
  const next = world.nextDue && (Date.parse(world.nextDue) - Date.parse(world.now)) / 1000;
  find("#due").textContent = next === null || next > 86400 ? "" : `Next event in ${spoken(Math.max(next, 0))}.`;
}

/** How much of an operation is over, from 0 to 1. */
function progress(operation) {
  const [from, to, now] = [operation.started, operation.ends, world.now].map(Date.parse);
  return to > from ? Math.min(Math.max((now - from) / (to - from), 0), 1) : 1;
}

function showOperations() {
  const newest = [...world.operations].sort((a, b) => b.started.localeCompare(a.started));
  const running = newest.filter((operation) => !operation.over);
  const shown = running.concat(newest.filter((operation) => operation.over)).slice(0, 8);
  const stable = shown.map(({ id, name, resource, state, over }) => ({ id, name, resource, state, over }));
  draw("#operations .list", stable, (operation) => {
    const { name, type } = short(operation.resource);
    return make("div", { className: "item" },
      make("div", { className: "head" }, make("span", {}, name), state(operation.state)),
      make("div", { className: "kind" }, `${type} · ${operation.name}`),
      operation.over ? null : make("progress", { id: `p-${operation.id}`, max: 1 }));
  }, "None yet. They appear with the first long-running operation.");
  for (const operation of shown.filter((one) => !one.over)) {
    const bar = document.getElementById(`p-${operation.id}`);
    const left = (Date.parse(operation.ends) - Date.parse(world.now)) / 1000;
    bar.value = progress(operation);
    bar.title = bar.ariaLabel = `${Math.round(bar.value * 100)} %, ${spoken(Math.max(left, 0))} left`;
  }
}

function door({ port, socket }) {
  const scheme = port === 443 ? "https" : "http";
  const url = `${scheme}://${socket}`;
  return make("a", { href: `${url}/`, target: "_blank", rel: "noreferrer" }, url);
}

/** A command that asks a host at the door, whatever its name resolves to. */
function command(host, { port, socket }) {
  const secure = port === 443;
  const origin = `${secure ? "https" : "http"}://${host}/`;
  return `curl ${secure ? "-k " : ""}--connect-to ${host}:${port}:${socket} ${origin}`;
}

function showGateways() {
  draw("#gateways .list", world.gateways, (gateway) => {
    const doors = gateway.doors.flatMap((one, at) => (at ? [", ", door(one)] : [door(one)]));
    const best = gateway.doors.find((one) => one.port === 443) || gateway.doors[0];
    const details = make("details", {}, make("summary", {}, gateway.hosts.length === 1 ? "One host name" : `${gateway.hosts.length} host names`),
      ...gateway.hosts.map((host) => make("code", { className: "command", tabIndex: 0 }, best ? command(host, best) : host)));
    return make("div", { className: "item" },
      make("div", { className: "head" }, make("span", {}, gateway.name), state(gateway.programmed ? "Programmed" : "Waiting")),
      make("div", { className: "kind" }, gateway.addresses.join(", ") || "no address yet",
        ...(doors.length ? [" · ", ...doors] : [])),
      gateway.hosts.length ? details : null);
  }, "None yet. They appear when Gateways are applied to a running cluster.");
}

function showGroups() {
  const plain = world.groups.map(({ name, location, resources }) => ({
    name, location,
    resources: resources.map((one) => ({ name: one.name, type: one.type || short(one.id || "").type, state: one.properties?.provisioningState })),
  }));
  draw("#groups .list", plain, (group) => make("div", { className: "group" },
    make("h3", {}, group.name, make("span", {}, group.location)),
    group.resources.length ? null : make("p", { className: "empty" }, "No resources."),
    ...group.resources.map((one) => make("div", { className: "item" },
      make("div", { className: "head" }, make("span", {}, one.name), state(one.state)),
      make("div", { className: "kind" }, one.type)))),
  "None yet: landfall up creates the first.");
}

function showFaults() {
  draw("#faults .list", world.faults, (fault) => {
    const row = known.find((one) => one.name === fault.fault);
    const place = [fault.method, fault.path].filter(Boolean).join(" ") || "every request";
    const disarm = make("button", { type: "button", className: "quiet", ariaLabel: `Disarm ${fault.fault}` }, "disarm");
    disarm.addEventListener("click", () => change(`faults/${fault.fault}`, "DELETE"));
    const after = fault.skip ? `, after ${fault.skip} that pass` : "";
    return make("div", { className: "item" },
      make("div", { className: "head" }, make("span", {}, fault.fault), disarm),
      make("div", { className: "kind" }, `${fault.left === 1 ? "once" : `${fault.left} times`} at `, make("code", {}, place), `${after}: `, ...marked(row ? row.what : "")));
  }, "None armed.");
}

/** Where a request went, without what is the same in all of them. */
function place({ host, path }) {
  const cluster = path.match(/^\/kubernetes\/[^/]+(.*)/);
  if (cluster) return `kubernetes ${cluster[1]}`;
  return `${host.split(".")[0]} ${path.replace(/^\/subscriptions\/[^/]+(\/resourcegroups\/[^/]+\/providers)?(?=\/)/i, "…")}`;
}

function showRequests(lines) {
  if (!lines.length && last !== null) return;
  const list = find("#requests .list");
  if (last === null) list.replaceChildren();
  for (const line of lines) {
    last = line.n;
    const mood = line.status === 0 || line.status >= 500 ? "bad" : line.status >= 400 ? "turned" : "";
    list.prepend(make("li", {},
      make("time", { dateTime: line.at }, line.at.slice(11, 19)),
      make("span", { className: `mono status ${mood}` }, line.status || "cut"),
      make("span", { className: "mono method" }, line.method),
      make("span", { className: "mono path", title: line.host + line.path },
        place(line), line.fault ? make("span", { className: "fault" }, `  ${line.fault}`) : "")));
  }
  while (list.children.length > SHOWN) list.lastChild.remove();
  if (!list.children.length) list.append(make("li", { className: "empty" }, "None yet."));
  else list.querySelector("li.empty")?.remove();
  if (last === null) last = 0;
}

async function ask(what) {
  const answer = await fetch(what, { cache: "no-store", headers: key });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** Looks at everything, and says when nobody answers any more. */
async function look() {
  try {
    const since = last === null ? `ledger?last=${SHOWN}` : `ledger?after=${last}&last=${SHOWN}`;
    const [there, lines] = await Promise.all([ask("world"), ask(since)]);
    world = there;
    showTime();
    showOperations();
    showGateways();
    showGroups();
    showFaults();
    showRequests(lines);
    const count = world.groups.reduce((sum, group) => sum + group.resources.length, 0);
    find("#state").textContent = `Subscription ${world.subscription} · ${count === 1 ? "1 resource" : `${count} resources`}`;
    find("#state").className = "";
  } catch {
    find("#state").textContent = "Nobody answers: the server has ended. What you see is the last that was seen.";
    find("#state").className = "lost";
  }
}

async function change(what, method, body) {
  const refusal = find("#refusal");
  try {
    const headers = { ...key, "content-type": "application/json" };
    const answer = await fetch(what, { method, headers, body: body && JSON.stringify(body) });
    refusal.hidden = answer.ok;
    if (!answer.ok) refusal.textContent = visible(await answer.text());
  } catch {
    refusal.hidden = false;
    refusal.textContent = "Nobody answers.";
  }
  await look();
}

function about() {
  const row = known.find((one) => one.name === find("#fault").value);
  if (!row) return;
  find("#about").replaceChildren(...marked(`${row.what}. A client rightly ${row.client}.`));
  find("#place").placeholder = [row.method, row.path].filter(Boolean).join(" ") || "every request";
}

async function begin() {
  for (const button of document.querySelectorAll("[data-advance]")) {
    button.addEventListener("click", () => {
      const seconds = Number(button.dataset.advance);
      // Where nothing takes time there is no cloud time to move; certificates and tokens still get older.
      change("advance", "POST", world?.speed === "instant" ? { real_seconds: seconds } : { seconds });
    });
  }
  find("#fault").addEventListener("change", about);
  find("#arm").addEventListener("submit", async (event) => {
    event.preventDefault();
    const place = find("#place").value.trim();
    const fault = `${find("#fault").value}${place ? `@${place}` : ""}*${find("#times").value || 1}`;
    await change("faults", "POST", { faults: [fault] });
  });
  for (;;) {
    await look();
    if (!known.length) {
      known = (await ask("faults").catch(() => ({ known: [] }))).known;
      find("#fault").replaceChildren(...known.map((row) => make("option", { value: row.name }, row.name)));
      about();
    }
    await new Promise((wake) => setTimeout(wake, EVERY_MS));
  }
}

begin();
