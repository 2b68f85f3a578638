// Uploading a state: the file is the body of the API's request, so that it is never in memory.
(() => {
  "use strict";
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  const place = form.querySelector(".problem-place");
  const progress = form.querySelector("progress");
  const button = form.querySelector("button.primary");

  function tell(...said) {
    const box = document.createElement("div");
    box.className = "problem";
    box.setAttribute("role", "alert");
    for (const text of said.filter(Boolean)) {
      const line = document.createElement("p");
      line.textContent = text;
      box.append(line);
    }
    place.replaceChildren(box);
    box.scrollIntoView({ block: "nearest" });
  }

  function refused(request) {
    let problem = {};
    try { problem = JSON.parse(request.responseText); } catch { /* a proxy said something else */ }
    const wrong = ["lineage-mismatch", "serial-too-low", "serial-reused"].includes(problem.code);
    const detail = problem.detail || `The server answered ${request.status} ${request.statusText}.`;
    tell(detail, "Nothing was stored.", wrong && "Is this the right file? If so, check the box below and upload it again.");
  }

  form.addEventListener("submit", (event) => {
    const file = form.elements.document.files[0];
    if (!file) return;
    event.preventDefault();
    const force = form.querySelector("input[name=force][type=checkbox]")?.checked;
    const begins = form.elements.namedItem("import");
    const query = begins ? "?import=true" : force ? "?force=true" : "";
    const request = new XMLHttpRequest();
    request.open("POST", form.dataset.upload + query);
    request.setRequestHeader("Content-Type", "application/json");
    request.setRequestHeader("Accept", "application/problem+json, application/json");
    request.setRequestHeader("X-CSRF-Token", form.elements.csrf.value);
    request.upload.addEventListener("progress", (now) => {
      if (now.lengthComputable) progress.value = now.loaded / now.total;
    });
    const end = () => { progress.hidden = true; button.disabled = false; };
    request.addEventListener("load", () => {
      end();
      if (request.status !== 201) { refused(request); return; }
      location.assign(`${form.dataset.versions}/${JSON.parse(request.responseText).number}`);
    });
    request.addEventListener("error", () => {
      end();
      tell("The connection was lost while the file was sent. Look at the versions whether it arrived, then try again.");
    });
    place.replaceChildren();
    progress.value = 0;
    progress.hidden = false;
    button.disabled = true;
    request.send(file);
  });
})();
