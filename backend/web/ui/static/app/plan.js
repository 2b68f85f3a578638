// The plan of a run: on its own page the address says what is seen, so that it can be sent.
(() => {
  "use strict";
  document.addEventListener("htmx:afterSettle", (event) => {
    const section = document.getElementById("plan");
    if (event.detail.target?.id !== "plan-list" || !section) return;
    const asked = event.detail.pathInfo?.finalRequestPath;
    if (asked && location.pathname === section.dataset.page) history.replaceState(history.state, "", asked);
  });
})();
