// The messages of one handset: the thread, and under it the form that writes an SMS.

import { h, setText, svg } from "./dom.js";
import { NumberField } from "./number.js";
import { clock, language, word } from "./words.js";

const DELIVERY = { received: "received", sending: "sending", sent: "sent", waiting: "waitingDelivery", refused: "refusedDelivery" };

export class Messages {
  /** `send(to, text)` tells whether the message could be handed over. */
  constructor(id, send) {
    this.send = send;
    this.thread = h("ol", { class: "thread", tabindex: "0", "aria-live": "polite" });
    this.to = new NumberField(`${id}-to`, {
      taken: /[\d*#]/, most: 20, otherwise: "onlyDial", class: "lcd-field", inputmode: "tel", enterkeyhint: "next",
      onkeydown: (event) => this.enterGoesOn(event),
    });
    this.text = h("textarea", {
      id: `${id}-text`, class: "lcd-field", rows: "1", maxlength: "1000", enterkeyhint: "send",
      onkeydown: (event) => this.enterSends(event),
    });
    this.toLabel = h("label", { for: `${id}-to`, class: "lcd-label" });
    this.textLabel = h("label", { for: `${id}-text`, class: "lcd-label" });
    this.button = h("button", { type: "submit", class: "soft soft-green lcd-send" },
      svg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: "M2 3l16 7-16 7 3-7z" })));
    this.typed = this.to.input;
    this.element = h(
      "form",
      { class: "lcd-view", onsubmit: (event) => this.submit(event), onfocusin: (event) => this.focused(event.target) },
      this.thread,
      h("div", { class: "lcd-compose" },
        h("div", { class: "lcd-entry" }, this.toLabel, this.to.input),
        this.to.problem,
        h("div", { class: "lcd-entry" }, this.textLabel, this.text, this.button)),
    );
  }

  focus() {
    (this.to.value === "" ? this.to.input : this.text).focus();
  }

  draw(messages) {
    this.drawWords();
    const drawn = JSON.stringify([language(), messages]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = messages.map(bubble);
    this.thread.replaceChildren(...(rows.length ? rows : [h("li", { class: "thread-empty" }, word("noMessages"))]));
    this.toEnd();
  }

  /** Show the last message. */
  toEnd() {
    this.thread.scrollTop = this.thread.scrollHeight;
  }

  drawWords() {
    setText(this.toLabel, word("to"));
    setText(this.textLabel, word("message"));
    this.text.placeholder = word("emptyAllowed");
    this.button.setAttribute("aria-label", word("sendSms"));
    this.button.title = word("sendSms");
    this.thread.setAttribute("aria-label", word("smsTab"));
    this.to.retell();
  }

  // A click on the keypad takes the focus: its digits go where was typed last.
  focused(element) {
    if (element === this.to.input || element === this.text) this.typed = element;
  }

  enterGoesOn(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (this.addressed()) this.text.focus();
  }

  enterSends(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    // An Enter that is still held down from the number must not send the text before it is written.
    if (!event.repeat) this.element.requestSubmit();
  }

  submit(event) {
    event.preventDefault();
    if (!this.addressed() || !this.send(this.to.value, this.text.value)) return;
    this.text.value = "";
    this.text.focus();
  }

  addressed() {
    if (this.to.value !== "") return true;
    this.to.refuse("needsNumber");
    this.to.input.focus();
    return false;
  }
}

function bubble(message) {
  const usage = message.usage;
  const size = usage ? `${usage.alphabet} ${usage.used}/${usage.budget}${usage.parts > 1 ? ` · ${word("parts", usage.parts)}` : ""}` : "";
  const notes = [clock(message.at), word(DELIVERY[message.delivery]), message.outgoing ? "" : size].filter(Boolean).join(" · ");
  return h(
    "li",
    { class: `bubble ${message.outgoing ? "bubble-out" : "bubble-in"}`, "data-delivery": message.delivery },
    h("span", { class: "bubble-peer" }, message.outgoing ? `→ ${message.peer}` : message.peer),
    h("span", { class: "bubble-text" }, message.text === "" ? word("emptySms") : message.text),
    h("span", { class: "bubble-notes" }, notes),
  );
}
