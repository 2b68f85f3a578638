// The bytes of a log: read in pages from the API, kept for a while, and appended to as they come.
(() => {
  "use strict";
  const PAGE = 256 * 1024;
  const KEPT = 24; // pages
  const MOST = 1024 * 1024; // bytes of one request
  const NEWLINE = 10;

  // What the server says of a request that it refused.
  async function refusal(answer) {
    const told = await answer.json().catch(() => ({}));
    const error = new Error(told.detail || `The server answered ${answer.status}.`);
    error.status = answer.status;
    return error;
  }

  class Store {
    constructor(address, size, isEnded) {
      this.address = address;
      this.size = size;
      this.isEnded = isEnded;
      this.pages = new Map(); // number -> bytes, the last used one last
      this.asked = new Map(); // number -> promise
    }

    async request(offset, limit, more = "") {
      const answer = await fetch(`${this.address}/log?offset=${offset}&limit=${limit}${more}`, { headers: { Accept: "text/plain" } });
      if (!answer.ok) throw await refusal(answer);
      return answer;
    }

    async fetched(offset, limit, signal) {
      if (signal?.aborted) throw new DOMException("stopped", "AbortError");
      return new Uint8Array(await (await this.request(offset, limit)).arrayBuffer());
    }

    // What has been written since; whether the log is complete.
    async look() {
      for (;;) {
        const answer = await this.request(this.size, MOST);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        this.append(this.size, bytes, this.size + bytes.length);
        if (bytes.length < MOST) return answer.headers.get("X-Log-Complete") === "true";
      }
    }

    lengthOf(number) { return Math.min(PAGE, this.size - number * PAGE); }

    // A page, with so many bytes of it at least.
    async page(number, needed) {
      for (let isRead = false; ;) {
        const kept = this.pages.get(number);
        if (kept && kept.length >= needed) {
          this.pages.delete(number);
          this.pages.set(number, kept);
          return kept;
        }
        if (isRead) throw new Error("The log is shorter than it was. Load the page again.");
        const asked = this.asked.get(number);
        if (!asked) isRead = true;
        await (asked ?? this.read(number));
      }
    }

    read(number) {
      const read = this.fetched(number * PAGE, this.lengthOf(number)).then((bytes) => this.keep(number, bytes)).finally(() => this.asked.delete(number));
      this.asked.set(number, read);
      return read;
    }

    keep(number, bytes) {
      const kept = this.pages.get(number);
      if (kept && kept.length > bytes.length) return kept;
      this.pages.set(number, bytes);
      while (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value);
      return bytes;
    }

    // The bytes between two offsets.
    async bytes(from, to) {
      const first = Math.floor(from / PAGE);
      const last = Math.floor(Math.max(from, to - 1) / PAGE);
      const numbers = Array.from({ length: last - first + 1 }, (_, at) => first + at);
      const pages = await Promise.all(numbers.map((number) => this.page(number, Math.min(PAGE, to - number * PAGE))));
      const found = new Uint8Array(to - from);
      pages.forEach((page, at) => {
        const begin = (first + at) * PAGE;
        const part = page.subarray(Math.max(0, from - begin), Math.max(0, to - begin));
        found.set(part, Math.max(0, begin - from));
      });
      return found;
    }

    // The log goes on: these bytes stand at an offset. Where they do not fit they are read later.
    append(offset, bytes, until) {
      if (until <= this.size) return;
      const fits = bytes.length === until - offset && offset === this.size;
      for (let at = offset; fits && at < until;) {
        const number = Math.floor(at / PAGE);
        const to = Math.min(until, (number + 1) * PAGE);
        const kept = this.pages.get(number) ?? new Uint8Array(0);
        if (kept.length !== at - number * PAGE) break;
        const longer = new Uint8Array(kept.length + to - at);
        longer.set(kept);
        longer.set(bytes.subarray(at - offset, to - offset), kept.length);
        this.keep(number, longer);
        at = to;
      }
      this.size = until;
    }

    // The beginning of the line that has an offset; of a very long line, somewhere in it.
    async lineAt(offset, most) {
      const from = Math.max(0, offset - most);
      const bytes = await this.bytes(from, offset);
      const before = bytes.lastIndexOf(NEWLINE);
      if (before >= 0) return from + before + 1;
      return from === 0 ? 0 : offset;
    }

    // When lines came: their offsets with what the server puts before them.
    async moments(from, to) {
      const [plain, answer] = await Promise.all([this.bytes(from, to), this.request(from, to - from, "&timestamps=true")]);
      const stamped = new Uint8Array(await answer.arrayBuffer());
      const found = new Map();
      const decoder = new TextDecoder();
      for (let at = 0, there = 0; at < plain.length;) {
        const next = (plain.indexOf(NEWLINE, at) + 1) || plain.length;
        const nextThere = (stamped.indexOf(NEWLINE, there) + 1) || stamped.length;
        const more = nextThere - there - (next - at);
        if (more > 0) found.set(from + at, decoder.decode(stamped.subarray(there, there + more)).trim());
        at = next;
        there = nextThere;
      }
      return found;
    }
  }

  // All of a log piece by piece, from its beginning. `look` gets the bytes and their offset, and
  // says whether that is enough. Pieces overlap by `overlap` bytes.
  async function scan(store, overlap, look, signal) {
    let kept = new Uint8Array(0);
    let next = store.fetched(0, MOST, signal);
    for (let offset = 0; offset < store.size;) {
      const bytes = await next;
      if (!bytes.length || signal.aborted) return;
      const after = offset + bytes.length;
      // the next piece is on its way while this one is looked at
      if (after < store.size) { next = store.fetched(after, MOST, signal); next.catch(() => {}); }
      const both = new Uint8Array(kept.length + bytes.length);
      both.set(kept);
      both.set(bytes, kept.length);
      if (look(both, offset - kept.length, after)) return;
      kept = both.slice(Math.max(0, both.length - overlap));
      offset = after;
    }
  }

  Object.assign(window.stateroomLog, { Store, scan, PAGE, refusal });
})();
