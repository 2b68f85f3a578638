// Rows of the form of a template: a survey's questions and the windows of rules.
(() => {
  "use strict";
  function number(place) {
    [...place.children].forEach((row, index) => {
      const before = new RegExp(`^(f-)?${place.dataset.rows.replaceAll(".", "[.]")}[.][^.]+[.]`);
      for (const one of row.querySelectorAll("[name], [id], [for], [aria-describedby], [data-field]")) {
        for (const name of ["name", "id", "for", "aria-describedby", "data-field"]) {
          const value = one.getAttribute(name);
          if (value !== null) one.setAttribute(name, value.replace(before, `$1${place.dataset.rows}.${index}.`));
        }
      }
    });
  }
  const lookAgain = () => document.querySelector("[data-look]")?.click();
  document.addEventListener("look", lookAgain);
  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add]");
    const remove = event.target.closest("[data-remove]");
    const fill = event.target.closest("[data-fill], [data-check]");
    if (fill) {
      const fields = document.getElementById("template-form").elements;
      if (fill.dataset.fill) {
        fields.namedItem(fill.dataset.fill).value = fill.dataset.value;
      } else {
        for (const one of fields) {
          if (one.name === fill.dataset.check && one.value === fill.dataset.value) one.checked = true;
        }
      }
      lookAgain();
    } else if (add) {
      const place = add.parentElement.querySelector(`[data-rows="${CSS.escape(add.dataset.add)}"]`);
      place.append(add.parentElement.querySelector("template").content.cloneNode(true));
      number(place);
      place.lastElementChild.querySelector("input").focus();
    } else if (remove) {
      const place = remove.closest("[data-rows]");
      remove.closest("[data-row]").remove();
      number(place);
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    // a script can add rows: the spare ones are for who has none
    for (const place of document.querySelectorAll("[data-rows]")) {
      for (const row of place.querySelectorAll("[data-row]")) {
        if (![...row.querySelectorAll("input[type=text]")].some((one) => one.value)) row.remove();
      }
    }
  });
  // a field that is wrong is not left in what is closed
  document.addEventListener("htmx:afterSettle", (event) => {
    if (!event.detail.requestConfig?.elt.matches("#template-form")) return;
    for (const one of document.querySelectorAll("form [aria-invalid]")) {
      for (let at = one.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    }
    document.querySelector("form [aria-invalid]")?.focus();
  });
})();
