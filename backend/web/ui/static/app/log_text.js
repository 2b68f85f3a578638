// The text of a log, as it is shown: colours as classes, everything else that is odd as escapes.
(() => {
  "use strict";
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // which would hide one
  // one character for each byte, so that places in the text are offsets
  const byBytes = new TextDecoder("windows-1252");
  const ODD = /[^\t\P{C}]|[\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
  const COLOUR = /\x1b\[([0-9;:]*)m/g;
  const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
  const STYLES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck" };
  const MOST_CODES = 64; // of one sequence

  function escaped(letter) {
    const code = letter.codePointAt(0);
    if (letter === "\r") return "\\r";
    if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  }
  const harmless = (text) => text.replace(ODD, escaped);

  // The style after a sequence of SGR. Colours of the palette beyond the first 16 are left out.
  function restyled(style, codes) {
    const given = codes.split(/[;:]/).slice(0, MOST_CODES).map(Number);
    const next = { ...style };
    for (let at = 0; at < given.length; at += 1) {
      const code = given[at];
      if (code === 0) for (const name of Object.keys(next)) delete next[name];
      else if (STYLES[code]) next[STYLES[code]] = true;
      else if (code === 22) { delete next.bold; delete next.dim; }
      else if (STYLES[code - 20]) delete next[STYLES[code - 20]];
      else if (code >= 30 && code <= 37) next.text = COLOURS[code - 30];
      else if (code >= 90 && code <= 97) next.text = `bright-${COLOURS[code - 90]}`;
      else if (code >= 40 && code <= 47) next.ground = COLOURS[code - 40];
      else if (code >= 100 && code <= 107) next.ground = COLOURS[code - 100];
      else if (code === 39) delete next.text;
      else if (code === 49) delete next.ground;
      else if (code === 38 || code === 48) at += given[at + 1] === 5 ? 2 : given[at + 1] === 2 ? 4 : 0;
    }
    return next;
  }

  function classes({ text, ground, ...styles }) {
    const names = Object.keys(styles).map((name) => `sgr-${name}`);
    if (text) names.push(`sgr-${text}`);
    if (ground) names.push(`sgr-on-${ground}`);
    return names.join(" ");
  }

  // A line as pieces of text with their classes, and the style that the next line begins with.
  function pieces(line, style) {
    const found = [];
    let at = 0;
    const add = (text) => { if (text) found.push([harmless(text), classes(style)]); };
    for (const sequence of line.matchAll(COLOUR)) {
      add(line.slice(at, sequence.index));
      style = restyled(style, sequence[1]);
      at = sequence.index + sequence[0].length;
    }
    add(line.slice(at));
    return [found, style];
  }

  function places(text, wanted) {
    const found = [];
    const low = text.toLowerCase();
    if (!wanted || low.length !== text.length) return found;
    for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + wanted.length)) found.push(at);
    return found;
  }

  // The nodes of a line, in which what is searched for is marked.
  function nodes(found, wanted) {
    const marks = places(found.map(([text]) => text).join(""), wanted);
    const made = [];
    let begin = 0;
    let mark = 0;
    const put = (text, names, isMarked) => {
      if (!text) return;
      if (!names && !isMarked) { made.push(document.createTextNode(text)); return; }
      const one = document.createElement(isMarked ? "mark" : "span");
      one.className = names;
      one.textContent = text;
      made.push(one);
    };
    for (const [text, names] of found) {
      let at = 0;
      while (at < text.length) {
        while (mark < marks.length && marks[mark] + wanted.length <= begin + at) mark += 1;
        const from = mark < marks.length ? marks[mark] - begin : text.length;
        if (from > at) {
          put(text.slice(at, Math.min(from, text.length)), names, false);
          at = Math.min(from, text.length);
        } else {
          const to = Math.min(from + wanted.length, text.length);
          put(text.slice(at, to), names, true);
          at = to;
        }
      }
      begin += text.length;
    }
    return made;
  }

  // The lines of some bytes of the log: their offsets and their ends without what ends a line.
  function lines(bytes, start) {
    const found = [];
    let begin = 0;
    while (begin < bytes.length) {
      const at = bytes.indexOf(10, begin);
      const next = at < 0 ? bytes.length : at + 1;
      let end = at < 0 ? bytes.length : at;
      if (at > begin && bytes[at - 1] === 13) end -= 1;
      found.push({ at: start + begin, next: start + next, text: decoder.decode(bytes.subarray(begin, end)) });
      begin = next;
    }
    return found;
  }

  // The length of some bytes without a character at their end that is incomplete, and how many
  // bytes at their beginning are of a character that began before.
  function wholeEnd(bytes) {
    for (let back = 1; back < 4 && back <= bytes.length; back += 1) {
      const byte = bytes[bytes.length - back];
      if ((byte & 0xc0) === 0x80) continue;
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      return back < length ? bytes.length - back : bytes.length;
    }
    return bytes.length;
  }
  function wholeBegin(bytes) {
    let begin = 0;
    while (begin < 3 && begin < bytes.length && (bytes[begin] & 0xc0) === 0x80) begin += 1;
    return begin;
  }

  const withoutCapitals = (text) => text.replace(/[A-Z]+/g, (some) => some.toLowerCase());

  // Bytes as a text to search in, without colours; `offset(place)` is the byte of a place in it.
  function searchable(bytes) {
    const text = byBytes.decode(bytes);
    const removed = [];
    let gone = 0;
    const kept = text.replace(COLOUR, (sequence, _codes, at) => {
      gone += sequence.length;
      removed.push([at + sequence.length - gone, gone]);
      return "";
    });
    const offset = (place) => {
      let low = 0;
      let high = removed.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (removed[middle][0] <= place) low = middle + 1; else high = middle;
      }
      return place + (low ? removed[low - 1][1] : 0);
    };
    return { text: kept, offset };
  }

  // The places in some bytes where a text is, in capitals or not.
  function hits(bytes, wanted) {
    const { text, offset } = searchable(bytes);
    const low = withoutCapitals(text);
    const needle = withoutCapitals(byBytes.decode(encoder.encode(wanted)));
    const found = [];
    for (let at = low.indexOf(needle); at >= 0; at = low.indexOf(needle, at + needle.length)) found.push(offset(at));
    return found;
  }

  const BOX = byBytes.decode(encoder.encode("\u2502 "));
  const ERROR = new RegExp(`\\n(?:${BOX})?Error: `);

  // The place where a tool tells its first error, and -1 if it tells none. `isBegin`: the bytes
  // begin with a line.
  function firstError(bytes, isBegin) {
    const { text, offset } = searchable(bytes);
    const found = ERROR.exec(isBegin ? `\n${text}` : text);
    if (!found) return -1;
    return offset(found.index + (isBegin ? 0 : 1));
  }

  window.stateroomLog = { encoder, wholeBegin, wholeEnd, lines, pieces, nodes, hits, firstError };
})();
