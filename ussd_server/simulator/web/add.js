// The place at the end of the row where one more phone is put.

import { h, setText } from "./dom.js";
import { NumberField } from "./number.js";
import { onLanguage, word } from "./words.js";

const NUMBER = /^\d{5,15}$/;

export class AddPhone {
  /** `known` tells whether a number has its phone already; `say` sends a command to the simulator. */
  constructor(known, say) {
    this.known = known;
    this.say = say;
    this.asked = null;
    this.number = new NumberField("add-number", {
      taken: /\d/, most: 15, otherwise: "onlyDigits", inputmode: "numeric", placeholder: "79100000004",
    });
    this.label = h("label", { for: "add-number" });
    this.button = h("button", { type: "submit", class: "primary" });
    this.title = h("h2", {});
    this.element = h(
      "form",
      { class: "add-phone", onsubmit: (event) => this.submit(event) },
      h("span", { class: "add-plus", "aria-hidden": "true" }, "+"),
      this.title, this.label, this.number.input, this.number.problem, this.button,
    );
    onLanguage(() => {
      setText(this.title, word("addPhone"));
      setText(this.label, word("addField"));
      setText(this.button, word("add"));
      this.number.retell();
    });
  }

  /** A phone was added, here or by another page; return whether it was here. */
  added(msisdn) {
    const here = msisdn === this.asked;
    if (here) this.number.value = "";
    else this.number.accept();
    return here;
  }

  /** The simulator did not add the phone. */
  refused(what) {
    this.number.refuse(`problem_${what}`);
  }

  submit(event) {
    event.preventDefault();
    const number = this.number.value;
    if (!NUMBER.test(number)) this.refuse("problem_bad_number");
    else if (this.known(number)) this.refuse("knownNumber");
    else {
      this.asked = number;
      this.say({ do: "add", phone: number });
    }
  }

  refuse(name) {
    this.number.refuse(name);
    this.number.input.focus();
  }
}
