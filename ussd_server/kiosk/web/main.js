// Joins the line to the kiosk's process with the views and the page's frame: language, clock, time running out.

import { setText } from "./dom.js";
import { connect } from "./link.js";
import { view } from "./views.js";
import { language, speak, time, word } from "./words.js";

const TICK_MS = 200;
const TOUCH_MS = 1000; // not every touch is told; the process counts in seconds
const BUSY_MS = 150; // an answer that comes sooner shows no waiting
const UNSEEN_MS = 400; // nobody has read by then what has just come

const main = document.getElementById("main");
const finish = document.getElementById("finish");
const offline = document.getElementById("offline");
const warning = document.getElementById("warning");
const ring = document.getElementById("ring");

let state = null;
let shown = null; // the view on show, {element, keys, typed}
let drawnFor = "";
let online = true;
let clockOffset = 0;
let touchedAt = 0;
let sentFor = -1;
let busyTimer = null;
let drawnAt = -Infinity; // when the view of this step came, by performance.now()

const transmit = connect(show, lineChanged);

/** Send a command that leads on, once for each state. */
function say(command) {
  if (sentFor === state.step || state.working) return;
  if (command.do === "leave") {
    transmit(command);
    return;
  }
  sentFor = state.step;
  transmit({ ...command, step: state.step });
  working(true);
}

function show(next) {
  const typed = state !== null && next.step === state.step ? shown.typed?.() : "";
  clockOffset = next.now - Date.now();
  state = next;
  if (!state.working) sentFor = -1;
  const drawing = [state.step, state.language, state.online].join();
  if (drawing !== drawnFor) {
    draw(typed);
    drawnFor = drawing;
  }
  working(state.working);
  frame();
  tick();
}

function draw(typed) {
  const anew = !drawnFor.startsWith(`${state.step},`);
  speak(state.language);
  shown = view(state, say, typed);
  main.replaceChildren(shown.element);
  main.dataset.view = state.view;
  if (anew) {
    drawnAt = performance.now();
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function frame() {
  document.documentElement.lang = language();
  document.title = word("title");
  for (const element of document.querySelectorAll("[data-word]")) setText(element, word(element.dataset.word));
  for (const element of document.querySelectorAll("[data-word-label]")) element.setAttribute("aria-label", word(element.dataset.wordLabel));
  for (const element of document.querySelectorAll("[data-language]")) {
    element.setAttribute("aria-pressed", String(element.dataset.language === language()));
  }
  setText(document.getElementById("still-here"), "");
  finish.hidden = ["start", "bye", "closed"].includes(state.view);
  condition();
}

function condition() {
  const text = !online ? word("noLine") : state !== null && !state.online ? word("noServer") : "";
  offline.hidden = text === "";
  setText(offline, text ?? "");
  document.body.classList.toggle("away", !online);
}

function lineChanged(up) {
  online = up;
  sentFor = -1;
  condition();
}

function working(on) {
  main.setAttribute("aria-busy", String(on));
  clearTimeout(busyTimer);
  if (on) busyTimer = setTimeout(() => main.classList.add("working"), BUSY_MS);
  else main.classList.remove("working");
}

function tick() {
  const now = Date.now() + clockOffset;
  setText(document.getElementById("clock"), time(Date.now()));
  if (state === null) return;
  const left = state.back_at ? state.back_at - now : Infinity;
  const warned = left <= state.warn_ms && state.warn_ms > 0;
  warning.hidden = !warned;
  if (!warned) return;
  setText(document.getElementById("still-here"), word("stillHere"));
  setText(document.getElementById("seconds"), word("secondsLeft", Math.max(0, Math.ceil(left / 1000))));
  ring.style.strokeDashoffset = String(100 - Math.max(0, (100 * left) / state.warn_ms));
}

function touched() {
  if (state === null || Date.now() - touchedAt < TOUCH_MS) return;
  touchedAt = Date.now();
  transmit({ do: "touch" });
}

for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, touched, { capture: true, passive: true });

document.addEventListener("keydown", (event) => {
  if (shown === null || event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  if (shown.keys(event)) event.preventDefault();
});

// An answer may come between the two taps of a double one: what stands there now was not meant. A digit more is seen.
main.addEventListener("click", (event) => {
  const unseen = event.timeStamp < drawnAt + UNSEEN_MS;
  if (event.detail > 1 && unseen && !event.target.closest(".pad")) event.stopPropagation();
}, { capture: true });

finish.addEventListener("click", () => transmit({ do: "leave" }));
document.getElementById("stay").addEventListener("click", () => transmit({ do: "touch" }));
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => transmit({ do: "speak", language: button.dataset.language }));
}
document.addEventListener("contextmenu", (event) => event.preventDefault());
setInterval(tick, TICK_MS);
