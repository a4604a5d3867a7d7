// What can go wrong with the network: a form that lets it happen, and what is under way.

import { h, setText } from "./dom.js";
import { onLanguage, word } from "./words.js";

const ONLY = ["all", "ussd", "sms"];
const SECONDS = new Set(["for_ms", "by_ms"]);

export class Faults {
  constructor(element, say) {
    this.say = say;
    this.forms = new Map();
    this.going = [];
    this.count = element.querySelector("[data-count]");
    this.kind = element.querySelector("select");
    this.hint = element.querySelector("[data-hint]");
    this.fields = element.querySelector("[data-fields]");
    this.list = element.querySelector("ul");
    this.calm = element.querySelector("[data-calm]");
    this.kind.addEventListener("change", () => this.drawFields());
    this.calm.addEventListener("click", () => this.say({ do: "calm" }));
    element.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.say({ do: "inject", fault: this.chosen() });
    });
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !element.open) return;
      element.open = false;
      element.querySelector("summary").focus();
    });
    onLanguage(() => this.draw());
  }

  /** Take the kinds of faults, each with its fields and their usual values. */
  offer(forms) {
    this.forms = new Map(forms.map((form) => [form.kind, form]));
    this.draw();
  }

  /** Show what is under way. */
  show(going) {
    this.going = going;
    setText(this.count, going.length ? String(going.length) : "");
    this.count.hidden = !going.length;
    this.calm.disabled = !going.length;
    this.list.replaceChildren(...going.map((fault) => h("li", {}, word("faultKinds")[fault.kind], h("span"))));
  }

  /** Count down by the simulator's clock. */
  tick(now) {
    this.going.forEach((fault, at) => {
      const left = fault.until ? word("seconds", Math.max(0, Math.ceil((fault.until - now) / 1000))) : word("messagesLeft", fault.left);
      setText(this.list.children[at].lastChild, left);
    });
  }

  draw() {
    const chosen = this.kind.value;
    const kinds = [...this.forms.keys()];
    this.kind.replaceChildren(...kinds.map((kind) => h("option", { value: kind }, word("faultKinds")[kind])));
    if (kinds.includes(chosen)) this.kind.value = chosen;
    this.drawFields();
    this.show(this.going);
  }

  drawFields() {
    const form = this.forms.get(this.kind.value);
    if (form === undefined) return;
    setText(this.hint, word("faultHints")[form.kind]);
    this.fields.replaceChildren(
      ...form.fields.map((name) => h("label", { class: "field-inline" }, word("faultFields")[name], input(name, form.usual[name]))),
    );
  }

  chosen() {
    const fault = { kind: this.kind.value };
    for (const field of this.fields.querySelectorAll("[name]")) {
      const value = field.name === "only" ? field.value : Math.round(Number(field.value) * (SECONDS.has(field.name) ? 1000 : 1));
      if (value && value !== "all") fault[field.name] = value;
    }
    return fault;
  }
}

function input(name, usual = 0) {
  if (name === "only") return h("select", { name }, ONLY.map((only) => h("option", { value: only }, word("faultOnly")[only])));
  if (name === "status") return h("input", { name, type: "text", value: `0x${usual.toString(16)}`, pattern: "0x[0-9A-Fa-f]{1,8}", required: true, size: 8 });
  const seconds = SECONDS.has(name);
  return h("input", { name, type: "number", value: seconds ? usual / 1000 : usual, min: 0, step: seconds ? 0.1 : 1, required: true });
}
