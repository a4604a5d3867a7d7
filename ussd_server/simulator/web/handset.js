// One handset: its display with the dialogue or the messages, its keys, and what the network can do to it.

import { h, setText, spaced, svg } from "./dom.js";
import { Messages } from "./messages.js";
import { clock, offLanguage, onLanguage, word } from "./words.js";

const KEYS = ["1", "2 abc", "3 def", "4 ghi", "5 jkl", "6 mno", "7 pqrs", "8 tuv", "9 wxyz", "* +", "0", "#"];
const TOUCH = matchMedia("(pointer: coarse)");
const RING = 2 * Math.PI * 9;
const NETWORK_SAYS = ["cancelled", "timeout", "dropped", "unreachable", "refused", "lost"];

let count = 0;

export class Handset {
  /** `quick` are the codes and messages to offer as buttons; `say` sends a command to the simulator. */
  constructor(msisdn, quick, say) {
    this.msisdn = msisdn;
    this.id = `phone-${++count}`;
    this.phone = { dialogue: null, messages: [], delivered: false };
    this.view = "dial";
    this.seen = null;
    this.say = (command) => say({ phone: msisdn, ...command });
    this.messages = new Messages(this.id, (to, text) => this.say({ do: "write", to, text }));
    this.element = this.build(quick);
    this.look("dial", false);
    this.retell = () => this.draw();
    onLanguage(this.retell);
  }

  remove() {
    offLanguage(this.retell);
    this.element.remove();
  }

  focus() {
    if (this.view === "sms") this.messages.focus();
    else (this.field.hidden ? this.green : this.field).focus();
  }

  /** Draw the phone as the simulator says that it is now. */
  show(phone) {
    const before = this.phone.dialogue;
    this.phone = phone;
    const now = phone.dialogue;
    const moved = now?.turn !== before?.turn || now?.session !== before?.session || now?.step !== before?.step;
    if (moved && now !== null) {
      this.field.value = "";
      if (now.turn !== "service" || before === null || before.turn === "over") this.look("dial", false);
    }
    const last = phone.messages.at(-1)?.id ?? 0;
    if (this.seen === null || this.view === "sms") this.seen = last;
    const hadFocus = this.form.contains(document.activeElement);
    this.draw();
    if (moved && hadFocus) this.focus();
  }

  /** Move the countdown to `now`, ms since 1970 UTC by the simulator's clock. */
  tick(now) {
    setText(this.clock, clock(now));
    const dialogue = this.phone.dialogue;
    const open = dialogue !== null && dialogue.turn !== "over";
    const left = open ? Math.max(0, dialogue.until - now) : 0;
    const share = open ? Math.min(1, left / dialogue.span_ms) : 0;
    this.arc.setAttribute("stroke-dashoffset", String(RING * (1 - share)));
    setText(this.seconds, open ? String(Math.ceil(left / 1000)) : "–");
    this.strip.classList.toggle("urgent", open && left < 5000);
    this.strip.classList.toggle("running", open);
  }

  build(quick) {
    this.title = h("h2", { class: "handset-number" }, spaced(this.msisdn));
    this.removeButton = h("button", { type: "button", class: "icon-button", onclick: () => this.say({ do: "remove" }) }, "×");
    this.body = h("div", { class: "handset-body" }, h("div", { class: "earpiece" }), this.display(), this.gauges(), this.keys());
    this.chips = h("div", { class: "chips", role: "group" }, quick.map((one) => this.chip(one)));
    this.dropButton = this.networkButton("drop");
    this.redeliverButton = this.networkButton("redeliver");
    return h(
      "article",
      { class: "handset", id: this.id, "aria-label": spaced(this.msisdn), "data-phone": this.msisdn },
      h("header", { class: "handset-head" }, this.title, this.removeButton),
      this.body,
      this.chips,
      h("div", { class: "acts" }, this.dropButton, this.redeliverButton),
    );
  }

  display() {
    this.clock = h("span", { class: "lcd-clock" });
    this.envelope = h("span", { class: "lcd-envelope", role: "status" });
    const bars = svg("svg", { viewBox: "0 0 16 12", class: "lcd-bars", "aria-hidden": "true" });
    for (let bar = 0; bar < 4; bar++) {
      bars.append(svg("rect", { x: bar * 4, y: 9 - bar * 3, width: 3, height: 3 + bar * 3 }));
    }
    this.screen = h("div", { class: "lcd-text", role: "status", "aria-live": "polite", "aria-atomic": "true" });
    this.field = h("input", {
      id: `${this.id}-field`, class: "lcd-field", type: "text", autocomplete: "off", autocapitalize: "off",
      spellcheck: "false", maxlength: "182", enterkeyhint: "send",
    });
    this.fieldLabel = h("label", { for: `${this.id}-field`, class: "lcd-label" });
    this.green = h("button", { type: "submit", class: "soft soft-green" });
    this.red = h("button", { type: "button", class: "soft soft-red", onclick: () => this.hangUp() });
    this.form = h(
      "form",
      { class: "lcd-view", onsubmit: (event) => this.submit(event), onkeydown: (event) => this.pressed(event) },
      this.screen,
      h("div", { class: "lcd-entry" }, this.fieldLabel, this.field),
      h("div", { class: "softs" }, this.red, this.green),
    );
    this.dialTab = h("button", { type: "button", class: "lcd-tab", onclick: () => this.look("dial", true) });
    this.smsTab = h("button", { type: "button", class: "lcd-tab", onclick: () => this.look("sms", true) });
    return h(
      "div",
      { class: "lcd" },
      h("div", { class: "lcd-status" }, bars, this.envelope, this.clock),
      this.form,
      this.messages.element,
      h("div", { class: "lcd-tabs", role: "group" }, this.dialTab, this.smsTab),
    );
  }

  gauges() {
    this.arc = svg("circle", { cx: 11, cy: 11, r: 9, class: "ring-arc", "stroke-dasharray": String(RING), "stroke-dashoffset": String(RING) });
    this.seconds = h("span", { class: "ring-seconds" }, "–");
    this.turn = h("span", { class: "gauge-turn" });
    this.usage = h("span", { class: "gauge-usage" });
    this.meter = h("span", { class: "meter-fill" });
    this.strip = h(
      "div",
      { class: "gauges" },
      h("div", { class: "ring", role: "timer" },
        svg("svg", { viewBox: "0 0 22 22", "aria-hidden": "true" }, svg("circle", { cx: 11, cy: 11, r: 9, class: "ring-track" }), this.arc),
        this.seconds),
      h("div", { class: "gauge-words" }, this.turn, h("div", { class: "gauge-line" }, h("span", { class: "meter" }, this.meter), this.usage)),
    );
    return this.strip;
  }

  keys() {
    const keys = KEYS.map((key) => {
      const [digit, letters] = key.split(" ");
      return h("button", { type: "button", tabindex: "-1", class: "key", onclick: () => this.press(digit) }, digit, letters ? h("small", {}, letters) : null);
    });
    return h("div", { class: "keys", "aria-hidden": "true" }, keys);
  }

  chip(one) {
    const act = one.dial
      ? () => {
          this.say({ do: "dial", text: one.dial });
          this.look("dial", true);
        }
      : () => {
          this.look("sms", false);
          this.messages.to.value = one.to;
          this.say({ do: "write", to: one.to, text: one.text });
        };
    const chip = h("button", { type: "button", class: "chip", onclick: act });
    chip.label = () => one.dial ?? (one.text === "" ? word("chipEmpty", one.to) : word("chipSms", one.text, one.to));
    return chip;
  }

  networkButton(act) {
    const button = h("button", { type: "button", class: "quiet", "data-act": act, onclick: () => this.say({ do: act }) });
    button.label = () => word(act);
    button.hint = () => word(`${act}Hint`);
    return button;
  }

  draw() {
    const dialogue = this.phone.dialogue;
    const turn = dialogue?.turn ?? "none";
    this.element.dataset.turn = turn;
    setText(this.screen, this.screenText());
    this.screen.classList.toggle("lcd-idle", turn === "none");
    this.screen.classList.toggle("lcd-network", turn === "service" || NETWORK_SAYS.includes(dialogue?.reason));
    // The field stays, empty, while the service is waited for: focus must not jump to a button under a pressed Enter.
    this.field.hidden = this.fieldLabel.hidden = turn === "over";
    this.field.readOnly = turn === "service";
    this.field.inputMode = turn === "none" ? "tel" : "text";
    this.field.placeholder = turn === "none" ? "*111#" : "";
    setText(this.fieldLabel, word(turn === "none" ? "dialField" : "answerField"));
    setText(this.green, word(turn === "none" ? "call" : turn === "over" ? "ok" : "send"));
    setText(this.red, word(turn === "none" ? "clearField" : "cancel"));
    this.green.hidden = turn === "service";
    this.red.hidden = turn === "over";
    this.dropButton.disabled = turn === "none" || turn === "over";
    this.redeliverButton.disabled = !this.phone.delivered;
    this.drawGauges(dialogue, turn);
    this.drawMessages();
    this.drawWords();
  }

  screenText() {
    const dialogue = this.phone.dialogue;
    if (dialogue === null) return word("idle");
    if (dialogue.turn === "service") return `${dialogue.step === 0 ? dialogue.dialled + "\n" : ""}${word("waiting")}`;
    return NETWORK_SAYS.includes(dialogue.reason) ? word(dialogue.reason) : dialogue.screen;
  }

  drawGauges(dialogue, turn) {
    const words = { none: "noDialogue", service: "waitsService", subscriber: "waitsYou", over: "ended" };
    const pushed = dialogue?.source && turn === "subscriber" ? "asksYou" : dialogue?.reason === "notified" ? "notified" : "";
    setText(this.turn, pushed ? word(pushed, dialogue.source) : word(words[turn]));
    this.element.dataset.pushed = String(pushed !== "");
    const usage = turn === "none" ? null : dialogue.usage;
    setText(this.usage, usage ? `${usage.alphabet} ${usage.used}/${usage.budget}` : "");
    this.meter.style.setProperty("--share", usage ? Math.min(1, usage.used / usage.budget) : 0);
  }

  drawMessages() {
    const { messages } = this.phone;
    const last = messages.at(-1)?.id ?? 0;
    if (this.view === "sms") this.seen = last;
    const unread = messages.filter((message) => !message.outgoing && message.id > (this.seen ?? last)).length;
    setText(this.envelope, unread ? `✉ ${unread}` : "");
    this.envelope.setAttribute("aria-label", unread ? word("unread", unread) : "");
    setText(this.smsTab, unread ? `${word("smsTab")} · ${unread}` : word("smsTab"));
    this.smsTab.classList.toggle("unread", unread > 0);
    this.messages.draw(messages);
  }

  drawWords() {
    setText(this.dialTab, word("dialTab"));
    this.removeButton.setAttribute("aria-label", `${word("remove")} ${spaced(this.msisdn)}`);
    this.removeButton.title = word("remove");
    for (const chip of this.chips.children) setText(chip, chip.label());
    for (const button of [this.dropButton, this.redeliverButton]) {
      setText(button, button.label());
      button.title = button.hint();
    }
  }

  look(view, andFocus) {
    this.view = view;
    this.form.hidden = view !== "dial";
    this.messages.element.hidden = view !== "sms";
    this.dialTab.setAttribute("aria-pressed", String(view === "dial"));
    this.smsTab.setAttribute("aria-pressed", String(view === "sms"));
    this.drawMessages();
    this.messages.toEnd();
    if (andFocus && !TOUCH.matches) this.focus();
  }

  submit(event) {
    event.preventDefault();
    const turn = this.phone.dialogue?.turn ?? "none";
    const text = this.field.value.trim();
    if (turn === "over") this.say({ do: "dismiss" });
    else if (turn === "none" && text !== "") this.say({ do: "dial", text });
    else if (turn === "subscriber" && text !== "") this.say({ do: "answer", text });
  }

  hangUp() {
    const turn = this.phone.dialogue?.turn ?? "none";
    if (turn === "service" || turn === "subscriber") this.say({ do: "cancel" });
    else if (turn === "over") this.say({ do: "dismiss" });
    this.field.value = "";
    this.field.focus();
  }

  pressed(event) {
    if (event.key === "Escape") this.hangUp();
    else if (event.key !== "Enter" || !event.repeat) return;
    event.preventDefault();
  }

  press(digit) {
    const field = this.view === "sms" ? this.messages.typed : this.field;
    if (field.hidden || field.readOnly) return;
    field.setRangeText(digit, field.selectionStart, field.selectionEnd, "end");
    field.focus();
  }
}
