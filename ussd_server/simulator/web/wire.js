// The wire view: each PDU between the network and the service, newest first.

import { h, setText, spaced } from "./dom.js";
import { language, onLanguage, word } from "./words.js";

const KEPT = 500;

export class Wire {
  constructor(say) {
    this.entries = [];
    this.heldBack = [];
    this.open = new Set();
    this.paused = false;
    this.list = document.getElementById("wire-list");
    this.nothing = document.getElementById("wire-empty");
    this.counts = document.querySelectorAll("[data-wire-count]");
    this.filter = document.getElementById("wire-filter");
    this.keepalive = document.getElementById("wire-keepalive");
    this.pauseButton = document.getElementById("wire-pause");
    this.numbers = [];
    this.filter.addEventListener("change", () => this.redraw());
    this.keepalive.addEventListener("change", () => this.redraw());
    this.pauseButton.addEventListener("click", () => this.pause(!this.paused));
    document.getElementById("wire-clear").addEventListener("click", () => say({ do: "clear" }));
    onLanguage(() => {
      this.options();
      this.redraw();
    });
  }

  /** Offer these numbers to filter by. */
  phones(numbers) {
    this.numbers = numbers;
    this.options();
    this.redraw();
  }

  replace(entries) {
    this.entries = entries.slice(-KEPT);
    this.heldBack = [];
    this.redraw();
  }

  add(entry) {
    if (this.paused) {
      this.heldBack.push(entry);
      if (this.heldBack.length > KEPT) this.heldBack.shift();
      return this.tally();
    }
    this.entries.push(entry);
    if (this.entries.length > KEPT) this.entries.shift();
    if (this.wanted(entry)) {
      this.list.prepend(this.row(entry, true));
      if (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    }
    this.tally();
  }

  empty() {
    this.entries = [];
    this.heldBack = [];
    this.open.clear();
    this.redraw();
  }

  pause(on) {
    this.paused = on;
    if (!on) {
      this.entries = [...this.entries, ...this.heldBack].slice(-KEPT);
      this.heldBack = [];
    }
    this.redraw();
  }

  options() {
    const chosen = this.filter.value;
    this.filter.replaceChildren(
      h("option", { value: "" }, word("all")),
      ...this.numbers.map((number) => h("option", { value: number, selected: number === chosen }, spaced(number))),
    );
  }

  wanted(entry) {
    if (entry.upkeep && !this.keepalive.checked) return false;
    return this.filter.value === "" || entry.phone === this.filter.value;
  }

  redraw() {
    this.list.replaceChildren(...this.entries.filter((entry) => this.wanted(entry)).reverse().map((entry) => this.row(entry, false)));
    this.tally();
  }

  tally() {
    const shown = this.list.children.length;
    this.nothing.hidden = shown > 0;
    this.list.hidden = shown === 0;
    const count = this.heldBack.length ? word("held", this.heldBack.length) : shown ? String(shown) : "";
    for (const element of this.counts) setText(element, count);
    this.pauseButton.setAttribute("aria-pressed", String(this.paused));
    setText(this.pauseButton, word(this.paused ? "resume" : "pause"));
  }

  row(entry, fresh) {
    const details = h("details", {
      class: `pdu pdu-${entry.direction}${entry.status ? " pdu-bad" : ""}${entry.response ? " pdu-response" : ""}${fresh ? " pdu-fresh" : ""}`,
    });
    details.append(this.summary(entry));
    const fill = () => {
      if (details.open && details.children.length === 1) details.append(inside(entry));
      if (details.open) this.open.add(entry.id);
      else this.open.delete(entry.id);
    };
    details.open = this.open.has(entry.id);
    fill();
    details.addEventListener("toggle", fill);
    return h("li", { "data-command": entry.command, "data-direction": entry.direction }, details);
  }

  summary(entry) {
    const to = entry.direction === "to_service";
    const arrow = h("span", { class: "pdu-arrow", role: "img", "aria-label": word(to ? "toService" : "fromService"), title: word(to ? "toService" : "fromService") }, to ? "→" : "←");
    const badges = [
      entry.op && h("span", { class: "badge badge-op", title: entry.op.code === null ? "service_type" : `ussd_service_op ${entry.op.code}` }, entry.op.name),
      entry.session && h("span", { class: `badge ${entry.session.end ? "badge-end" : ""}` }, word("session", entry.session.number, entry.session.step, entry.session.end)),
      entry.part && h("span", { class: "badge" }, word("part", entry.part.index, entry.part.total)),
      entry.receipt && h("span", { class: "badge" }, "receipt"),
      (entry.response || entry.status !== 0) && h("span", { class: `badge ${entry.status ? "badge-bad" : "badge-good"}` }, entry.status_name),
      entry.problem && h("span", { class: "badge badge-bad" }, entry.problem),
    ];
    const route = entry.source || entry.destination ? h("span", { class: "pdu-route" }, `${entry.source || "–"} → ${entry.destination || "–"}`) : null;
    return h(
      "summary",
      {},
      h("span", { class: "pdu-line" },
        h("time", { class: "pdu-time" }, clock(entry.at)), arrow,
        h("span", { class: "pdu-command" }, entry.command), h("span", { class: "pdu-sequence" }, `#${entry.sequence}`),
        badges, route),
      entry.text === null ? null : h("span", { class: "pdu-said" },
        h("span", { class: "pdu-text" }, shownText(entry)),
        entry.usage && gauge(entry.usage)),
    );
  }
}

function shownText(entry) {
  if (entry.text === "") return h("em", {}, word("emptyText"));
  const lines = entry.text.replace(/\r\n?/g, "\n").split("\n");
  const shown = lines.flatMap((line, index) => (index ? [h("span", { class: "mark", "aria-hidden": "true" }, "⏎"), "\n", line] : [line]));
  const cut = entry.part && entry.part.index < entry.part.total ? [h("span", { class: "mark mark-break", "aria-hidden": "true" }, "⁝")] : [];
  return h("span", {}, shown, cut);
}

function gauge(usage) {
  const meter = h("span", { class: "meter-fill" });
  meter.style.setProperty("--share", Math.min(1, usage.used / usage.budget));
  return h("span", { class: `pdu-usage${usage.used > usage.budget ? " over" : ""}` },
    h("span", { class: "meter" }, meter), `${usage.alphabet} ${usage.used}/${usage.budget}`);
}

function inside(entry) {
  const octets = entry.hex.match(/../g) ?? [];
  const cells = octets.map((octet) => h("span", { class: "octet" }, octet));
  const point = (field, on) => {
    for (let at = field.offset; at < field.offset + field.size; at++) cells[at]?.classList.toggle("octet-lit", on);
  };
  const table = (title, fields) =>
    fields.length === 0 ? null : h("section", {}, h("h3", {}, title),
      h("table", { class: "fields" }, h("tbody", {}, fields.map((field) =>
        h("tr", { tabindex: "0", onmouseenter: () => point(field, true), onmouseleave: () => point(field, false), onfocus: () => point(field, true), onblur: () => point(field, false) },
          h("td", { class: "field-offset" }, `${field.offset}+${field.size}`),
          h("th", { scope: "row" }, field.name),
          h("td", { class: "field-value" }, field.value, field.meaning && h("span", { class: "field-meaning" }, field.meaning)))))));
  const lines = [];
  for (let at = 0; at < cells.length; at += 16) {
    lines.push(h("span", { class: "octet-offset" }, at.toString(16).padStart(4, "0")), h("span", { class: "octet-line" }, cells.slice(at, at + 16)));
  }
  return h("div", { class: "pdu-inside" },
    entry.masked && h("p", { class: "hint" }, word("masked")),
    table(word("fields"), entry.fields), table(word("tlvs"), entry.tlvs),
    h("section", {}, h("h3", {}, word("octets")), h("div", { class: "octets" }, lines)));
}

function clock(at) {
  return new Date(at).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
}
