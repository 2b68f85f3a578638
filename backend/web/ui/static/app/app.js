// What all pages do with JavaScript. Without it they can be read, and their forms work.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");

  // Times: relative, and exact on hover in the viewer's zone.
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const steps = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [86400 * 60, 86400, "day"], [86400 * 730, 86400 * 30, "month"], [Infinity, 86400 * 365, "year"]];
  function relative(seconds) {
    const far = Math.abs(seconds);
    if (far < 5) return "just now";
    const [, each, unit] = steps.find(([below]) => far < below);
    const number = Math.floor(far / each);
    const said = `${number} ${unit.length > 3 || unit === "day" ? unit + (number === 1 ? "" : "s") : unit}`;
    return seconds > 0 ? `in ${said}` : `${said} ago`;
  }
  function tell(root = document) {
    for (const one of root.querySelectorAll("time[datetime]")) {
      const at = new Date(one.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const title = exact.format(at);
      if (one.title !== title) one.title = title;
      if (one.hasAttribute("data-exact")) continue;
      const said = relative((at - Date.now()) / 1000);
      if (one.textContent !== said) one.textContent = said;
    }
  }

  // What lives is loaded anew while somebody looks: elements with data-live="SECONDS" are asked
  // to `refresh` (hx-trigger="refresh").
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    tell();
    for (const one of document.querySelectorAll("[data-live]")) {
      const every = Number(one.dataset.live) * 1000;
      const last = Number(one.dataset.liveAt || 0);
      if (performance.now() - last < every || one.contains(document.querySelector("details.confirm[open], dialog[open]"))) continue;
      one.dataset.liveAt = String(performance.now());
      htmx.trigger(one, "refresh");
    }
  }, 1000);

  // What somebody has opened stays open when it is renewed.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");

  // A problem marks the fields that it names.
  function mark(problem) {
    const form = problem.closest("form");
    if (!form) return;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    for (const name of (problem.dataset.fields || "").split(" ").filter(Boolean)) {
      const field = form.elements.namedItem(name.replace(/^body\./, ""));
      const one = field instanceof RadioNodeList ? field[field.length - 1] : field;
      if (one) { one.setAttribute("aria-invalid", "true"); }
    }
    form.querySelector("[aria-invalid]")?.focus();
    problem.scrollIntoView({ block: "nearest" });
  }

  // What is loaded anew may say another icon and title.
  function show() {
    const said = document.querySelector("[data-icon]");
    const icon = document.querySelector("link[rel=icon]");
    if (said && icon && icon.getAttribute("href") !== said.dataset.icon) icon.setAttribute("href", said.dataset.icon);
    const title = document.querySelector("[data-title]");
    if (title) document.title = title.dataset.title;
  }

  function ready(root) {
    tell(root);
    // the keyboard scrolls what is wider than the page
    for (const wide of document.querySelectorAll(".scroll, .tabs")) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
    for (const problem of root.querySelectorAll?.(".problem-place > .problem") ?? []) mark(problem);
  }
  document.addEventListener("DOMContentLoaded", () => ready(document));
  document.addEventListener("htmx:afterSettle", (event) => {
    show();
    ready(event.detail.elt.closest("form") ?? event.detail.elt);
  });
  // A form whose answer never came.
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const place = event.detail.elt.querySelector?.(".problem-place");
      if (place) place.innerHTML = '<div class="problem" role="alert"><p>The server did not answer. What you typed is still here: look whether it was done, then try again.</p></div>';
    });
  }

  // A part of a page that was refused has nothing of what is selected in it: the problem is shown in
  // its place. What lives stays as it is while the server is out of order.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (xhr.status < 400 || target.matches(".problem-place")) return;
    if (xhr.status >= 500 && target.matches("[data-live]")) event.detail.shouldSwap = false;
    else Object.assign(event.detail, { selectOverride: "unset", swapOverride: "innerHTML" });
  });

  // Copy buttons, dialogs, and names that have to be typed.
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("button[data-copy]");
    if (copy) {
      try {
        await navigator.clipboard.writeText(copy.dataset.copy);
        copy.textContent = "Copied";
      } catch {
        const code = copy.parentElement.querySelector("code, pre");
        getSelection().selectAllChildren(code);
        copy.textContent = "Press Ctrl C";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("input", (event) => {
    const typed = event.target.closest("[data-must-be]");
    if (typed) typed.setCustomValidity(typed.value === typed.dataset.mustBe ? "" : `Type ${typed.dataset.mustBe}`);
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest("form[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  // The keyboard.
  const project = () => document.body.dataset.project;
  const places = {
    o: () => "/", p: () => "/projects",
    r: () => project() && `/projects/${project()}/runs`,
    w: () => project() && `/projects/${project()}/workspaces`,
    t: () => project() && `/projects/${project()}/templates`,
  };
  let waitsForPlace = 0;
  function move(step) {
    const rows = [...document.querySelectorAll("table.rows tbody tr")].filter((row) => row.querySelector("a"));
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    rows[Math.min(rows.length - 1, Math.max(0, at + step))].querySelector("a").focus();
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const one of document.querySelectorAll("details.menu[open], details.confirm[open]")) one.open = false;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea, select, [contenteditable]")) return;
    if (Date.now() < waitsForPlace) {
      waitsForPlace = 0;
      const where = places[event.key]?.();
      if (where) { event.preventDefault(); location.assign(where); }
      return;
    }
    if (event.key === "g") { waitsForPlace = Date.now() + 1500; }
    else if (event.key === "/") { event.preventDefault(); document.querySelector("[data-key='/']")?.focus(); }
    else if (event.key === "?") { document.getElementById("keys")?.showModal(); }
    else if (event.key === "j") { move(1); }
    else if (event.key === "k") { move(-1); }
  });
})();
