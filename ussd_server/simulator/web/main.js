// Joins the line to the simulator with the handsets, the wire view and the page's frame.

import { AddPhone } from "./add.js";
import { h, setText } from "./dom.js";
import { Faults } from "./faults.js";
import { Handset } from "./handset.js";
import { connect } from "./link.js";
import { Wire } from "./wire.js";
import { language, onLanguage, speak, word } from "./words.js";

const DELAYS_S = [0, 1, 3, 10, 20];
const NOTICE_MS = 6000;
const NARROW = matchMedia("(max-width: 760px)");

const phones = document.getElementById("phones");
const row = document.getElementById("handsets");
const networkLine = document.getElementById("network");
const notice = document.getElementById("notice");
const wireView = document.getElementById("wire");
const delay = document.getElementById("delay");
const handsets = new Map();
const wire = new Wire(say);
const faults = new Faults(document.getElementById("faults"), say);
const addPhone = new AddPhone((msisdn) => handsets.has(msisdn), say);

let network = null;
let quick = [];
let clockOffset = 0;
let online = true;
let noticeTimer = null;

phones.append(addPhone.element);
if (NARROW.matches) wireView.open = false;
const transmit = connect(hear, lineChanged);

function say(command) {
  const sent = transmit(command);
  if (!sent) notify("notSent");
  return sent;
}

function hear(message) {
  if (message.now) clockOffset = message.now - Date.now();
  switch (message.type) {
    case "hello":
      quick = message.quick;
      begin(message);
      break;
    case "phone":
      show(message.phone);
      break;
    case "removed":
      handsets.get(message.msisdn)?.remove();
      handsets.delete(message.msisdn);
      wire.phones([...handsets.keys()]);
      break;
    case "network":
      network = message.network;
      showNetwork();
      break;
    case "wire":
      wire.add(message.entry);
      break;
    case "cleared":
      wire.empty();
      break;
    case "problem":
      problem(message);
      break;
  }
}

function begin(message) {
  const present = new Set(message.phones.map((phone) => phone.msisdn));
  for (const [msisdn, handset] of handsets) {
    if (!present.has(msisdn)) {
      handset.remove();
      handsets.delete(msisdn);
    }
  }
  document.getElementById("phones-come").hidden = true;
  const first = handsets.size === 0;
  for (const phone of message.phones) show(phone);
  network = message.network;
  faults.offer(message.forms);
  showNetwork();
  wire.replace(message.wire);
  if (first && !NARROW.matches) handsets.values().next().value?.focus();
}

function show(phone) {
  let handset = handsets.get(phone.msisdn);
  if (handset === undefined) {
    handset = new Handset(phone.msisdn, quick, say);
    handsets.set(phone.msisdn, handset);
    row.append(handset.element);
    if (addPhone.added(phone.msisdn)) handset.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    wire.phones([...handsets.keys()]);
  }
  handset.show(phone);
  handset.tick(Date.now() + clockOffset);
}

function lineChanged(up) {
  online = up;
  showNetwork();
}

function showNetwork() {
  document.body.classList.toggle("offline", !online);
  if (!online) {
    networkLine.dataset.state = "offline";
    setText(networkLine, word("offline"));
    return;
  }
  showDelays();
  if (network === null) {
    setText(networkLine, word("connecting"));
    return;
  }
  const names = [...new Set(network.binds.map((bind) => bind.system_id))];
  const counted = names.map((name) => {
    const count = network.binds.filter((bind) => bind.system_id === name).length;
    return count > 1 ? `${name} ×${count}` : name;
  });
  networkLine.dataset.state = names.length ? "bound" : "unbound";
  setText(networkLine, names.length ? word("bound", counted.join(", ")) : word("unbound", network.address));
  faults.show(network.faults);
  faults.tick(Date.now() + clockOffset);
}

function showDelays() {
  const chosen = network === null ? 0 : network.delay_ms / 1000;
  const offered = DELAYS_S.includes(chosen) ? DELAYS_S : [...DELAYS_S, chosen];
  delay.replaceChildren(
    ...offered.map((s) => h("option", { value: s, selected: s === chosen }, s ? word("seconds", s) : word("none"))),
  );
  delay.classList.toggle("active", chosen > 0);
  delay.disabled = network === null;
}

function problem({ what, do: command }) {
  if (command === "add") addPhone.refused(what);
  else notify(`problem_${what}`);
}

/** Say the text `name` over the page for a while. */
function notify(name) {
  notice.hidden = false;
  setText(notice, word(name) ?? name);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

document.getElementById("to-wire").addEventListener("click", (event) => {
  event.preventDefault();
  wireView.open = true;
  wireView.scrollIntoView();
  wireView.querySelector("summary").focus({ preventScroll: true });
});

delay.addEventListener("change", () => say({ do: "delay", ms: Number(delay.value) * 1000 }));

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}

onLanguage(() => {
  document.documentElement.lang = language();
  document.title = word("title");
  for (const element of document.querySelectorAll("[data-word]")) setText(element, word(element.dataset.word));
  for (const element of document.querySelectorAll("[data-word-label]")) {
    element.setAttribute("aria-label", word(element.dataset.wordLabel));
  }
  for (const element of document.querySelectorAll("[data-word-title]")) element.title = word(element.dataset.wordTitle);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
  showNetwork();
});

// With a kiosk beside the phones, a narrow window shows one of the two at a time.
if (document.getElementById("kiosk") !== null) {
  const panes = document.getElementById("panes");
  const buttons = [...panes.querySelectorAll("[data-pane]")];
  const turnTo = (pane) => {
    document.body.dataset.pane = pane;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.pane === pane));
  };
  for (const button of buttons) button.addEventListener("click", () => turnTo(button.dataset.pane));
  document.body.classList.add("with-kiosk");
  panes.hidden = false;
  turnTo("phones");
}

// Arrows go to the neighbouring phone, unless they are needed to move within a text.
phones.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input, textarea") && event.target.value !== "") return;
  const all = [...handsets.values()];
  const at = all.findIndex((handset) => handset.element.contains(event.target));
  if (at < 0) return;
  event.preventDefault();
  all[(at + step + all.length) % all.length].focus();
});

function tick() {
  const now = Date.now() + clockOffset;
  for (const handset of handsets.values()) handset.tick(now);
  faults.tick(now);
}

setInterval(tick, 250);
