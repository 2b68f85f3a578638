// A run as it goes on: its log, and the events `run:changed` and `run:progress` of the document.
(() => {
  "use strict";
  const { encoder, refusal } = window.stateroomLog;
  const POLL = 5000; // milliseconds
  const TRY_AGAIN = 60000;

  const changed = () => document.dispatchEvent(new CustomEvent("run:changed"));

  // Follow a run from the end of its log on. `grew`, `ended` and `said` are told what happens;
  // `said("")` takes back what was said before. The answer stops it.
  function follow(store, { grew, ended, said }) {
    const address = `${store.address}/events`;
    const stopping = new AbortController();
    let source = null;
    let timer = 0;

    function stop() {
      stopping.abort();
      source?.close();
      clearTimeout(timer);
    }

    function end() {
      stop();
      said("");
      ended();
      changed();
    }

    function lose(detail) {
      stop();
      said(`${detail} The log is not followed any more.`, true);
    }

    function connect() {
      source = new EventSource(`${address}?offset=${store.size}`);
      source.addEventListener("open", () => said(""));
      source.addEventListener("log", (event) => {
        const told = JSON.parse(event.data);
        store.append(told.offset, encoder.encode(told.text), told.until);
        grew();
      });
      source.addEventListener("status", changed);
      source.addEventListener("step", changed);
      source.addEventListener("progress", (event) => {
        document.dispatchEvent(new CustomEvent("run:progress", { detail: JSON.parse(event.data) }));
      });
      source.addEventListener("end", (event) => {
        const size = JSON.parse(event.data).log_size;
        if (size > store.size) store.append(store.size, new Uint8Array(0), size);
        grew();
        end();
      });
      source.addEventListener("problem", (event) => lose(JSON.parse(event.data).detail));
      source.addEventListener("error", () => {
        if (source.readyState === EventSource.CLOSED && !stopping.signal.aborted) ask();
        else if (source.readyState === EventSource.CONNECTING) said("The connection was lost. It is made again.");
      });
    }

    // A stream was refused: an EventSource does not tell why.
    async function ask() {
      const asking = new AbortController();
      try {
        const answer = await fetch(`${address}?offset=${store.size}`, { signal: asking.signal, headers: { Accept: "text/event-stream" } });
        if (!answer.ok) throw await refusal(answer);
        if (answer.status === 204) { await poll(Infinity); return; }
        asking.abort();
        timer = setTimeout(connect, 1000);
      } catch (error) {
        if ([401, 403, 404].includes(error.status)) { lose(error.message); return; }
        said(`${error.status ? error.message : "The server does not answer."} The log is asked for every 5 seconds.`);
        await poll(Date.now() + TRY_AGAIN);
      }
    }

    async function poll(until) {
      if (stopping.signal.aborted) return;
      try {
        const before = store.size;
        const isComplete = await store.look();
        if (store.size > before) grew();
        changed();
        if (isComplete) { end(); return; }
      } catch (error) {
        if ([401, 403, 404].includes(error.status)) { lose(error.message); return; }
      }
      timer = setTimeout(() => (Date.now() < until ? poll(until) : connect()), POLL);
    }

    connect();
    return stop;
  }

  Object.assign(window.stateroomLog, { follow });
})();
