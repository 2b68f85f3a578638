// The page of one run: its icon, the countdown of a cancel, and what somebody else decided first.
(() => {
  "use strict";
  const live = () => document.getElementById("live");

  // While somebody types, or reads why they were refused, nothing under their hands is renewed.
  function isEdited(place) {
    return [...place.querySelectorAll("textarea, input:not([type=hidden])")].some((field) =>
      field === document.activeElement ? field.type !== "checkbox" : field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    const place = live();
    if (event.detail.elt !== place || !event.detail.requestConfig.triggeringEvent) return;
    if (isEdited(place) || place.querySelector("details.confirm[open], .problem-place > .problem")) event.preventDefault();
  });

  // The icon of the tab follows the status; htmx renews the title.
  function follow() {
    const place = live();
    const icon = document.querySelector("link[rel=icon]");
    if (place && icon.getAttribute("href") !== place.dataset.icon) icon.setAttribute("href", place.dataset.icon);
    if (place?.hasAttribute("data-written")) document.dispatchEvent(new CustomEvent("run:written"));
    count();
  }

  function count() {
    for (const one of document.querySelectorAll("[data-countdown]")) {
      const left = Math.ceil((new Date(one.dataset.countdown) - Date.now()) / 1000);
      const said = left > 0 ? `${one.dataset.then} follows in ${left} s.` : `${one.dataset.then} follows now.`;
      if (one.textContent !== said) one.textContent = said;
    }
  }
  setInterval(count, 500);

  // Somebody else was quicker: what they decided is shown, with the words of the refusal above it.
  const DECIDED = ["run-approved", "run-not-planned", "run-ended", "run-moved", "plan-stale", "run-lost", "conflict"];
  document.addEventListener("htmx:afterSettle", (event) => {
    const problem = live()?.querySelector(".problem-place > .problem");
    if (problem && DECIDED.includes(problem.dataset.code)) {
      document.getElementById("refused").replaceChildren(problem);
      htmx.ajax("GET", location.pathname, { source: live(), target: "#live", select: "#live", selectOOB: "#side:morph,#said:morph", swap: "morph:outerHTML" });
    }
    follow(event);
  });
  // The bar moves with the events; what is at work is renewed with the page.
  document.addEventListener("run:progress", (event) => {
    const bar = document.getElementById("progress-bar");
    if (!bar || event.detail.total !== bar.max) return;
    bar.value = event.detail.done;
    document.getElementById("progress-done").textContent = event.detail.done.toLocaleString("en");
  });
  document.addEventListener("DOMContentLoaded", follow);
})();
