// The viewer of a run's log: its buttons, its search, and its links.
(() => {
  "use strict";
  const { Store, View, scan, follow, hits, firstError, encoder } = window.stateroomLog;
  const MOST_HITS = 10000;
  const OVERLAP = 512; // bytes of a piece that are looked at again with the next one, for colours
  const KEPT = "stateroom.log";

  function size(bytes) {
    const units = ["B", "KB", "MB", "GB"];
    let unit = 0;
    let number = bytes;
    while (number >= 1000 && unit < units.length - 1) { number /= 1000; unit += 1; }
    return unit ? `${number.toFixed(1)} ${units[unit]}` : `${number} B`;
  }

  function remembered() {
    try { return JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { return {}; }
  }

  function start(section) {
    const find = (name) => section.querySelector(`[data-log=${name}]`);
    const isAlone = location.pathname === section.dataset.page;
    const store = new Store(section.dataset.run, Number(section.dataset.size), "ended" in section.dataset);
    const view = new View(store, find("lines"), find("bar"), { told: say, moved: show });
    let found = { wanted: "", offsets: [], at: -1, searched: 0, isOver: true, stop: null };
    let stopFollowing = null;
    let isCopied = 0;

    function say(text, isLast = false) {
      const place = find("said");
      place.textContent = text;
      place.hidden = !text;
      if (isLast) {
        const link = document.createElement("a");
        link.href = location.href;
        link.textContent = "Load the page again";
        place.append(" ", link, ".");
      }
    }

    function show() {
      section.querySelector(".log-size").textContent = size(store.size);
      find("follow").setAttribute("aria-pressed", String(view.following));
      find("bar").setAttribute("aria-valuetext", `${size(view.top)} of ${size(store.size)}`);
    }

    // Search
    function count() {
      const { wanted, offsets, at, searched, isOver } = found;
      const number = offsets.length >= MOST_HITS ? `more than ${MOST_HITS.toLocaleString("en")}` : offsets.length.toLocaleString("en");
      const place = at >= 0 ? `${(at + 1).toLocaleString("en")} of ${number}` : `${number} found`;
      find("found").textContent = !wanted ? "" : isOver ? place : `${place}, ${size(searched)} of ${size(store.size)} searched`;
      find("cancel").hidden = isOver;
      find("previous").disabled = find("next").disabled = !offsets.length;
    }

    function reach(at) {
      found.at = (at + found.offsets.length) % found.offsets.length;
      count();
      view.go({ offset: found.offsets[found.at], mark: true });
    }

    async function search(wanted) {
      found.stop?.abort();
      const stop = new AbortController();
      const mine = found = { wanted, offsets: [], at: -1, searched: 0, isOver: !wanted, stop };
      view.wanted = wanted.toLowerCase();
      await view.renew();
      remember(wanted);
      count();
      if (!wanted) return;
      const from = view.topLine;
      const overlap = encoder.encode(wanted).length + OVERLAP;
      try {
        await scan(store, overlap, (bytes, offset, after) => {
          const before = mine.offsets.at(-1) ?? -1;
          for (const at of hits(bytes, wanted)) if (offset + at > before && mine.offsets.length < MOST_HITS) mine.offsets.push(offset + at);
          mine.searched = after;
          if (mine.at < 0 && found === mine) {
            const first = mine.offsets.findIndex((one) => one >= from);
            if (first >= 0) reach(first);
          }
          if (found === mine) count();
          return mine.offsets.length >= MOST_HITS;
        }, stop.signal);
      } catch (error) {
        if (error.name !== "AbortError") say(error.message);
      }
      mine.isOver = true;
      if (found !== mine) return;
      if (mine.at < 0 && mine.offsets.length) reach(0);
      count();
    }

    // The address of what is searched for can be sent to somebody.
    function remember(wanted) {
      const where = `${section.dataset.page}${wanted ? `?${new URLSearchParams({ q: wanted })}` : ""}`;
      section.querySelector(".log-alone").href = where;
      if (isAlone) history.replaceState(history.state, "", where + location.hash);
    }

    async function toFirstError() {
      const stop = new AbortController();
      let place = -1;
      say("");
      try {
        await scan(store, OVERLAP, (bytes, offset) => {
          const at = firstError(bytes, offset === 0);
          if (at >= 0) place = offset + at;
          return place >= 0;
        }, stop.signal);
      } catch (error) {
        say(error.message);
        return;
      }
      if (place < 0) say("There is no error of the tool in this log.");
      else view.go({ offset: place, mark: true });
    }

    // Links to lines
    async function link(at) {
      view.here = at;
      await view.renew();
      history.replaceState(history.state, "", `#b${at}`);
      const address = `${location.origin}${section.dataset.page}#b${at}`;
      const said = await navigator.clipboard?.writeText(address).then(() => "The link to this line is copied.", () => "");
      say(said || `The link to this line: ${address}`);
      clearTimeout(isCopied);
      isCopied = setTimeout(() => say(""), 4000);
    }

    function toHash() {
      const at = /^#b(\d{1,15})$/.exec(location.hash);
      if (at) view.go({ offset: Number(at[1]), mark: true });
      return Boolean(at);
    }

    function toggled(name, isOn) {
      const box = find(name);
      box.checked = isOn;
      const set = () => (name === "wrap" ? section.classList.toggle("is-wrapped", box.checked) : (view.hasMoments = box.checked));
      set();
      box.addEventListener("change", async () => {
        set();
        const kept = { ...remembered(), [name]: box.checked };
        try { localStorage.setItem(KEPT, JSON.stringify(kept)); } catch { /* it is forgotten with the page */ }
        const place = view.topLine;
        await view.renew();
        if (view.following) view.go({ isEnd: true }); else view.go({ offset: place });
      });
    }

    find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = find("query").value;
      if (wanted && wanted === found.wanted && found.offsets.length) reach(found.at + 1);
      else search(wanted);
    });
    find("query").addEventListener("input", async () => {
      view.wanted = find("query").value.toLowerCase();
      await view.renew();
    });
    find("query").addEventListener("keydown", (event) => {
      if (event.key === "Escape") { find("query").value = ""; search(""); }
    });
    find("next").addEventListener("click", () => reach(found.at + 1));
    find("previous").addEventListener("click", () => reach(found.at - 1));
    find("cancel").addEventListener("click", () => found.stop.abort());
    find("error").addEventListener("click", toFirstError);
    find("link").addEventListener("click", () => link(view.chosenLine));
    find("follow").addEventListener("click", () => {
      view.follow(!view.following);
      if (view.following) view.go({ isEnd: true });
    });
    find("bar").addEventListener("input", () => {
      const offset = Number(find("bar").value);
      view.go(offset >= store.size ? { isEnd: true } : { offset });
    });
    find("lines").addEventListener("click", (event) => {
      const at = event.target.closest("a[href^='#b']");
      if (!at) return;
      event.preventDefault();
      link(Number(at.hash.slice(2)));
    });
    find("lines").addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Home") view.go({});
      else if (event.key === "End") { view.follow(!store.isEnded); view.go({ isEnd: true }); }
      else return;
      event.preventDefault();
    });
    addEventListener("hashchange", toHash);

    const kept = remembered();
    toggled("wrap", kept.wrap !== false);
    toggled("moments", kept.moments === true);
    find("viewer").hidden = false;
    section.querySelector(".log-plain")?.remove();
    find("follow").hidden = store.isEnded;
    if (!store.isEnded) {
      view.follow(true);
      stopFollowing = follow(store, {
        grew: () => view.grew(),
        said: say,
        ended: () => { store.isEnded = true; find("follow").hidden = true; view.follow(false); view.grew(); section.dataset.ended = ""; },
      });
    }
    const asked = isAlone ? new URLSearchParams(location.search).get("q") : "";
    if (asked) { find("query").value = asked; search(asked); }
    if (!toHash() && !asked) view.go(store.isEnded ? {} : { isEnd: true });
    show();
    return () => { stopFollowing?.(); found.stop?.abort(); removeEventListener("hashchange", toHash); };
  }

  const started = new Map(); // sections -> what stops them
  function ready() {
    const section = document.getElementById("log");
    if (section?.dataset.run && !started.has(section)) started.set(section, start(section));
    for (const [one, stop] of started) if (!one.isConnected) { stop(); started.delete(one); }
  }
  document.addEventListener("DOMContentLoaded", ready);
  document.addEventListener("htmx:afterSettle", ready);
})();
