// The lines of a log that are seen. Of a long log only what is near them is in the page: blocks of
// lines are added and taken away while one scrolls, and the bar beside them is about all bytes.
(() => {
  "use strict";
  const { lines, pieces, nodes, wholeBegin, wholeEnd } = window.stateroomLog;
  const BLOCK_LINES = 200;
  const BLOCK_BYTES = 32 * 1024;
  const FAR = 256 * 1024; // bytes that a follower leaves out, to be at the end
  const NEWLINE = 10;
  const EDGE = 8; // pixels of a line that do not count as seen
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

  class View {
    // `told` is called when something is to be said, and `moved` when other lines are seen.
    constructor(store, place, bar, { told, moved }) {
      Object.assign(this, { store, place, bar, told, moved });
      this.blocks = []; // {start, end, isOpen, lines, moments, element}
      this.wanted = ""; // is marked
      this.here = -1; // the offset that somebody went to
      this.following = false;
      this.hasMoments = false;
      this.next = null; // where to go
      this.isWorking = false;
      this.expected = 0;
      place.addEventListener("scroll", () => this.scrolled(), { passive: true });
      new ResizeObserver(() => this.work()).observe(place);
    }

    go(next) {
      this.next = next;
      if (next.isEnd !== true) this.follow(false);
      if (next.mark) this.here = next.offset;
      this.work();
    }

    follow(isOn) {
      if (this.following === isOn) return;
      this.following = isOn;
      this.moved();
    }

    grew() {
      this.work();
      this.tell();
    }

    // Show the same lines once more, with other marks or moments.
    async renew() {
      for (const block of this.blocks) {
        block.moments = await this.momentsOf(block.start, block.end);
        this.paint(block);
      }
    }

    async work() {
      if (this.isWorking) return;
      this.isWorking = true;
      try {
        do {
          const next = this.next;
          this.next = null;
          if (next) await this.reset(next);
        } while (this.next || await this.step());
      } catch (error) {
        this.told(error.message);
      } finally {
        this.isWorking = false;
      }
      this.tell();
    }

    // Begin anew at an offset. With `mark` it is seen with what stands before it.
    async reset({ offset = 0, isEnd = false, mark = false }) {
      const { store } = this;
      isEnd ||= offset > 0 && offset >= store.size;
      const start = isEnd ? store.size : await store.lineAt(Math.min(offset, store.size), BLOCK_BYTES);
      const around = isEnd ? [await this.before(start)] : [mark ? await this.before(start) : null, await this.after(start)];
      if (this.next) return;
      this.blocks = around.filter(Boolean);
      this.place.replaceChildren(...this.blocks.map((block) => block.element));
      if (isEnd) this.toEnd();
      else this.scrollTo(mark && around[0] ? around[0].element.offsetHeight - this.place.clientHeight / 3 : 0);
    }

    // One thing that is missing; whether there was one.
    async step() {
      const { store, place } = this;
      const last = this.blocks.at(-1);
      if (!last) {
        if (!store.size) return false;
        this.next = this.following ? { isEnd: true } : {};
        return true;
      }
      const isBehind = last.end < store.size;
      if (this.following && isBehind && store.size - last.end > FAR) {
        this.next = { isEnd: true };
        return true;
      }
      const below = place.scrollHeight - place.clientHeight - place.scrollTop;
      if (isBehind && (this.following || below < 1.5 * place.clientHeight)) {
        await this.addBelow(last);
        if (this.following && !this.next) this.toEnd();
        return true;
      }
      const first = this.blocks[0];
      if (first.start > 0 && place.scrollTop < 1.5 * place.clientHeight) {
        const block = await this.before(first.start);
        if (this.next || !block) return Boolean(this.next);
        this.blocks.unshift(block);
        place.prepend(block.element);
        this.scrollTo(place.scrollTop + heightOf(block));
        this.forgetBelow();
        return true;
      }
      return false;
    }

    async addBelow(last) {
      const block = await this.after(last.isOpen ? last.start : last.end);
      if (this.next || !block) return;
      if (last.isOpen) {
        last.element.replaceWith(block.element);
        this.blocks.pop();
      } else {
        this.place.append(block.element);
      }
      this.blocks.push(block);
      this.forgetAbove();
    }

    forgetAbove() {
      const { place } = this;
      while (this.blocks.length > 2) {
        const height = heightOf(this.blocks[0]);
        const top = this.following ? place.scrollHeight - place.clientHeight : place.scrollTop;
        if (top - height < 3 * place.clientHeight) return;
        const below = place.scrollTop - height; // without the block the browser may move it
        this.blocks.shift().element.remove();
        this.scrollTo(below);
      }
    }

    forgetBelow() {
      const { place } = this;
      while (this.blocks.length > 2) {
        const height = heightOf(this.blocks.at(-1));
        if (place.scrollHeight - height < place.scrollTop + 4 * place.clientHeight) return;
        this.blocks.pop().element.remove();
      }
    }

    async before(offset) {
      const from = Math.max(0, offset - BLOCK_BYTES);
      if (from === offset) return null;
      const bytes = await this.store.bytes(from, offset);
      const cut = from > 0 ? bytes.indexOf(NEWLINE) + 1 : 0;
      const begin = cut > 0 && cut < bytes.length ? cut : from > 0 ? wholeBegin(bytes) : 0;
      const found = lines(bytes.subarray(begin), from + begin).slice(-BLOCK_LINES);
      return this.block(found, offset === this.store.size);
    }

    async after(offset) {
      const to = Math.min(this.store.size, offset + BLOCK_BYTES);
      if (to <= offset) return null;
      const bytes = await this.store.bytes(offset, to);
      const end = to < this.store.size ? bytes.lastIndexOf(NEWLINE) + 1 || wholeEnd(bytes) : bytes.length;
      const found = lines(bytes.subarray(0, end), offset).slice(0, BLOCK_LINES);
      return this.block(found, found.at(-1).next === this.store.size);
    }

    // `isOpen`: the log may go on in it, instead of in another one.
    async block(found, isOpen) {
      const [start, end] = [found[0].at, found.at(-1).next];
      const block = { start, end, isOpen, lines: found, element: document.createElement("div") };
      block.moments = await this.momentsOf(start, end);
      this.paint(block);
      return block;
    }

    momentsOf(start, end) {
      return this.hasMoments ? this.store.moments(start, end) : null;
    }

    paint(block) {
      let style = {};
      const made = block.lines.map(({ at, next, text }) => {
        const [found, after] = pieces(text, style);
        style = after;
        const line = document.createElement("div");
        line.className = at <= this.here && this.here < next ? "line here" : "line";
        const link = document.createElement("a");
        link.href = `#b${at}`;
        link.tabIndex = -1;
        link.setAttribute("aria-hidden", "true");
        line.append(link);
        if (block.moments) line.append(momentOf(block.moments.get(at)));
        line.append(...nodes(found, this.wanted), "\n");
        return line;
      });
      block.element.replaceChildren(...made);
    }

    toEnd() { this.scrollTo(this.place.scrollHeight); }

    scrollTo(top) {
      this.place.scrollTop = top;
      this.expected = this.place.scrollTop;
    }

    scrolled() {
      const { place } = this;
      const isUp = place.scrollTop < this.expected - 1;
      this.expected = place.scrollTop;
      if (isUp && place.scrollHeight - place.clientHeight - place.scrollTop > 4) this.follow(false);
      this.work();
      this.tell();
    }

    // The offset of what is at the top.
    get top() {
      const at = this.place.scrollTop;
      let above = 0;
      for (const block of this.blocks) {
        const height = heightOf(block);
        if (above + height > at) return Math.floor(block.start + (block.end - block.start) * (at - above) / height);
        above += height;
      }
      return 0;
    }

    // The offset of the first line that is seen.
    get topLine() {
      const top = this.place.getBoundingClientRect().top + EDGE;
      const isSeen = (element) => element.getBoundingClientRect().bottom > top;
      const block = this.blocks.find((one) => isSeen(one.element));
      const line = block ? [...block.element.children].findIndex(isSeen) : -1;
      return line < 0 ? 0 : block.lines[line].at;
    }

    // The offset of the line that somebody went to, if it is seen; else of that at the top.
    get chosenLine() {
      const line = this.place.querySelector(".line.here");
      const [seen, box] = [line?.getBoundingClientRect(), this.place.getBoundingClientRect()];
      if (!line || seen.bottom < box.top || seen.top > box.bottom) return this.topLine;
      return Number(line.querySelector("a").hash.slice(2));
    }

    get isAtEnd() {
      const { place } = this;
      return (this.blocks.at(-1)?.end ?? 0) >= this.store.size && place.scrollHeight - place.clientHeight - place.scrollTop < 4;
    }

    tell() {
      this.bar.max = String(Math.max(1, this.store.size));
      this.bar.step = "1";
      this.bar.value = String(this.isAtEnd ? this.store.size : this.top);
      this.moved();
    }
  }

  const heightOf = (block) => block.element.getBoundingClientRect().height;

  function momentOf(told) {
    const one = document.createElement("span");
    one.className = "stamp";
    const at = new Date(told ?? NaN);
    one.textContent = Number.isNaN(at.getTime()) ? "" : clock.format(at);
    one.title = told ?? "";
    return one;
  }

  Object.assign(window.stateroomLog, { View });
})();
