// A field for a number: it takes what a number is made of, and what is wrong is said beside it.

import { h, setText } from "./dom.js";
import { word } from "./words.js";

const BETWEEN = /[\s+()-]/;

export class NumberField {
  /** `taken` matches each character that is kept, at most `most` of them; `otherwise` names what is said of any other. */
  constructor(id, { taken, most, otherwise, ...attributes }) {
    this.taken = taken;
    this.most = most;
    this.otherwise = otherwise;
    this.said = null;
    this.problem = h("p", { id: `${id}-problem`, class: "problem", role: "alert" });
    this.input = h("input", { id, type: "text", autocomplete: "off", "aria-describedby": this.problem.id, oninput: () => this.clean(), ...attributes });
  }

  get value() {
    return this.input.value;
  }

  set value(number) {
    this.input.value = number;
    this.accept();
  }

  /** Say the text `name` beside the field until a better number is typed. */
  refuse(name) {
    this.said = name;
    this.retell();
  }

  accept() {
    this.refuse(null);
  }

  retell() {
    setText(this.problem, this.said === null ? "" : word(this.said));
    this.input.setAttribute("aria-invalid", String(this.said !== null));
  }

  /** Drop what no number has; of what only separates its digits nothing is said. */
  clean() {
    const { value, selectionStart } = this.input;
    const kept = this.kept(value);
    if (kept !== value) {
      const caret = this.kept(value.slice(0, selectionStart)).length;
      this.input.value = kept;
      this.input.setSelectionRange(caret, caret);
    }
    const strange = [...value].some((character) => !this.taken.test(character) && !BETWEEN.test(character));
    this.refuse(strange ? this.otherwise : null);
  }

  kept(text) {
    return [...text].filter((character) => this.taken.test(character)).join("").slice(0, this.most);
  }
}
