// The graph of resources on a canvas: pan, zoom, search, and facts about one resource.
(() => {
  "use strict";
  const root = document.getElementById("graph");
  if (!root) return;
  const words = window.graphWords;
  const canvas = root.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const says = root.querySelector(".graph-says");
  const found = root.querySelector(".graph-found");
  const facts = root.querySelector(".graph-facts");
  const legend = root.querySelector(".graph-legend");
  const field = root.querySelector("#graph-q");
  const FONT = getComputedStyle(document.documentElement).getPropertyValue("--mono");
  const READABLE = 0.35; // the zoom from which names are drawn

  let nodes = [], edges = [], places = null, lines = null, width = 0, height = 0;
  let needs = [], neededBy = [], colours = [];
  let scale = 1, left = 0, top = 0, selected = -1, matches = null, at = -1, paint = {}, isDue = false;

  function colour() {
    const style = getComputedStyle(document.documentElement);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    for (const name of ["card", "text", "quiet", "line-strong", "focus", "busy-soft", "waits"]) paint[name] = style.getPropertyValue(`--${name}`).trim();
    const types = [...new Set(nodes.map((one) => one.type))];
    const sizes = new Map();
    for (const one of nodes) sizes.set(one.type, (sizes.get(one.type) ?? 0) + one.instances);
    types.sort((one, other) => sizes.get(other) - sizes.get(one) || (one < other ? -1 : 1));
    const hues = new Map(types.map((type, place) => [type, `hsl(${Math.round(place * 137.5 + 210) % 360} ${dark ? "50% 62%" : "48% 50%"})`]));
    colours = nodes.map((one) => hues.get(one.type));
    words.legend(legend, types, hues, sizes, (type) => { field.value = field.value === `${type}.` ? "" : `${type}.`; search(); });
  }

  const draw = () => { if (!isDue) { isDue = true; requestAnimationFrame(now); } };

  function now() {
    isDue = false;
    const ratio = devicePixelRatio || 1;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    if (!places) return;
    pen.translate(left, top);
    pen.scale(scale, scale);
    const seen = { x0: -left / scale, y0: -top / scale, x1: (wide - left) / scale, y1: (high - top) / scale };
    drawEdges(seen);
    for (let node = 0; node < nodes.length; node += 1) {
      const [x, y] = [places[node * 2], places[node * 2 + 1]];
      if (x + width > seen.x0 && x < seen.x1 && y + height > seen.y0 && y < seen.y1) drawNode(node, x, y);
    }
    Object.assign(root.dataset, { scale: scale.toFixed(4), left: Math.round(left), top: Math.round(top) });
  }

  function drawEdges(seen) {
    const near = [];
    pen.strokeStyle = paint["line-strong"];
    pen.lineWidth = Math.max(1, 0.6 / scale);
    pen.globalAlpha = matches || selected >= 0 ? 0.18 : 0.55;
    pen.beginPath();
    edges.forEach((edge, place) => {
      if (edge[0] === selected || edge[1] === selected) near.push(place);
      else trace(place, seen);
    });
    pen.stroke();
    pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle = paint.focus;
    pen.lineWidth = Math.max(1.6, 1.2 / scale);
    pen.beginPath();
    for (const place of near) trace(place, seen);
    pen.stroke();
    if (scale > READABLE) {
      pen.fillStyle = paint["line-strong"];
      edges.forEach((_, place) => arrow(place, seen));
    }
  }

  const ends = ([from, to]) => [places[to * 2] + width, places[to * 2 + 1] + height / 2, places[from * 2], places[from * 2 + 1] + height / 2];

  function trace(place, seen) {
    const [x0, y0, x1, y1] = ends(edges[place]);
    if (Math.max(x0, x1) < seen.x0 || Math.min(x0, x1) > seen.x1 || Math.max(y0, y1) < seen.y0 - height || Math.min(y0, y1) > seen.y1 + height) return;
    const points = lines?.[place];
    pen.moveTo(x0, y0);
    if (points && points.length >= 6) {
      for (let one = 2; one < points.length - 2; one += 2) {
        const [x, y] = [points[one], points[one + 1]];
        const isLast = one >= points.length - 4;
        pen.quadraticCurveTo(x, y, isLast ? x1 : (x + points[one + 2]) / 2, isLast ? y1 : (y + points[one + 3]) / 2);
      }
      return;
    }
    const bend = Math.max(40, Math.abs(x1 - x0) / 2);
    pen.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
  }

  function arrow(place, seen) {
    const [x, y] = ends(edges[place]);
    if (x < seen.x0 || x > seen.x1 || y < seen.y0 || y > seen.y1) return;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + 8, y - 4);
    pen.lineTo(x + 8, y + 4);
    pen.fill();
  }

  function drawNode(node, x, y) {
    const one = nodes[node];
    const isNear = node === selected || selected >= 0 && (needs[selected].includes(node) || neededBy[selected].includes(node));
    pen.globalAlpha = (matches && !matches.has(node)) || (!matches && selected >= 0 && !isNear) ? 0.3 : 1;
    if (scale <= READABLE) {
      pen.fillStyle = colours[node];
      pen.fillRect(x, y, width, height);
    } else {
      pen.fillStyle = node === selected ? paint["busy-soft"] : paint.card;
      pen.strokeStyle = matches?.has(node) ? paint.waits : paint["line-strong"];
      pen.lineWidth = matches?.has(node) ? 2 : 1;
      pen.setLineDash(one.data ? [4, 3] : []);
      pen.beginPath();
      pen.roundRect(x, y, width, height, 5);
      pen.fill();
      pen.stroke();
      pen.setLineDash([]);
      pen.fillStyle = colours[node];
      pen.fillRect(x, y + 3, 5, height - 6);
      label(one, x + 13, y);
    }
    if (node === selected) {
      pen.globalAlpha = 1;
      pen.strokeStyle = paint.focus;
      pen.lineWidth = Math.max(2, 2 / scale);
      pen.strokeRect(x - 2, y - 2, width + 4, height + 4);
    }
    pen.globalAlpha = 1;
  }

  function label(one, x, y) {
    one.lines ??= [`${one.name}${one.instances === 1 ? "" : ` ×${one.instances}`}`, `${one.data ? "data." : ""}${one.type}${one.module ? `  ${one.module.replace(/^module\./, "")}` : ""}`].map((text) => short(words.harmless(text)));
    pen.fillStyle = paint.text;
    pen.font = `600 12px ${FONT}`;
    pen.fillText(one.lines[0], x, y + 17);
    pen.fillStyle = paint.quiet;
    pen.font = `10.5px ${FONT}`;
    pen.fillText(one.lines[1], x, y + 33);
  }

  const short = (text) => (text.length > 31 ? `${text.slice(0, 30)}…` : text);

  function zoom(by, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const next = Math.min(3, Math.max(0.02, scale * by));
    left = x - ((x - left) * next) / scale;
    top = y - ((y - top) * next) / scale;
    scale = next;
    draw();
  }

  function fit() {
    let [x1, y1] = [0, 0];
    for (let node = 0; node < nodes.length; node += 1) {
      x1 = Math.max(x1, places[node * 2] + width);
      y1 = Math.max(y1, places[node * 2 + 1] + height);
    }
    const room = 24;
    scale = Math.min(1.2, (canvas.clientWidth - 2 * room) / x1, (canvas.clientHeight - 2 * room) / y1);
    left = (canvas.clientWidth - x1 * scale) / 2;
    top = (canvas.clientHeight - y1 * scale) / 2;
    draw();
  }

  function show(node) {
    scale = Math.max(scale, 0.8);
    left = canvas.clientWidth / 2 - (places[node * 2] + width / 2) * scale;
    top = canvas.clientHeight / 2 - (places[node * 2 + 1] + height / 2) * scale;
    select(node);
  }

  // Search
  function search() {
    const asked = field.value.trim().toLowerCase();
    matches = asked ? new Set(nodes.flatMap((one, node) => (one.address.toLowerCase().includes(asked) ? [node] : []))) : null;
    at = -1;
    found.textContent = matches ? `${matches.size.toLocaleString()} of ${nodes.length.toLocaleString()}` : "";
    const url = new URL(location.href);
    if (field.value) url.searchParams.set("q", field.value);
    else url.searchParams.delete("q");
    history.replaceState(history.state, "", url);
    draw();
  }

  function step(by) {
    const all = matches ? [...matches] : [];
    if (!all.length) return;
    at = (at + by + all.length + (at < 0 && by < 0 ? 1 : 0)) % all.length;
    show(all[at]);
    found.textContent = `${at + 1} of ${all.length.toLocaleString()}`;
  }

  function address(one) {
    const query = new URLSearchParams({ [one.is_keyed || one.instances !== 1 ? "q" : "address"]: one.address });
    if (root.dataset.pinned) query.set("version", root.dataset.pinned);
    return `${root.dataset.resources}?${query}`;
  }

  function select(node) {
    selected = node;
    facts.hidden = node < 0;
    if (node >= 0) words.facts(facts, nodes, node, needs[node], neededBy[node], { address, show, close: () => { select(-1); canvas.focus(); } });
    draw();
  }

  function under(x, y) {
    const [wantedX, wantedY] = [(x - left) / scale, (y - top) / scale];
    for (let node = nodes.length - 1; node >= 0; node -= 1) {
      const [inX, inY] = [wantedX - places[node * 2], wantedY - places[node * 2 + 1]];
      if (inX >= 0 && inX <= width && inY >= 0 && inY <= height) return node;
    }
    return -1;
  }

  // Mouse, fingers and keys
  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (fingers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const after = [event.offsetX, event.offsetY];
    if (fingers.size === 1) {
      left += after[0] - before[0];
      top += after[1] - before[1];
      moved += Math.abs(after[0] - before[0]) + Math.abs(after[1] - before[1]);
    } else {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const far = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
      zoom(far(after) / far(before), (after[0] + other[0]) / 2, (after[1] + other[1]) / 2);
      moved = Infinity;
    }
    fingers.set(event.pointerId, after);
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (name === "pointerup" && places && fingers.size === 1 && moved < 6) select(under(event.offsetX, event.offsetY));
      fingers.delete(event.pointerId);
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }, { passive: false });

  const does = { in: () => zoom(1.3), out: () => zoom(1 / 1.3), fit, next: () => step(1), previous: () => step(-1) };
  const move = (x, y) => { left += x; top += y; draw(); };
  const keys = {
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    "+": does.in, "=": does.in, "-": does.out, 0: fit, n: does.next, N: does.previous,
    Enter: () => { if (selected >= 0) location.assign(address(nodes[selected])); },
    Escape: () => select(-1),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!places || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button && places) does[button.dataset.do]();
  });
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); step(event.shiftKey ? -1 : 1); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colour(); draw(); });
  new ResizeObserver(draw).observe(canvas);

  // Load and place
  function ready({ data }) {
    ({ places, lines, width, height } = data);
    says.hidden = true;
    colour();
    fit();
    if (field.value) search();
    const focus = root.dataset.focus;
    const node = focus ? nodes.findIndex((one) => focus === one.address || focus.startsWith(`${one.address}[`)) : -1;
    if (node >= 0) show(node);
    root.dataset.took = String(Math.round(data.took));
  }

  async function load() {
    const answer = await fetch(root.dataset.graph, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    ({ nodes, edges } = await answer.json());
    for (const one of nodes) one.name = one.address.slice(one.address.lastIndexOf(`${one.type}.`) + one.type.length + 1);
    needs = nodes.map(() => []);
    neededBy = nodes.map(() => []);
    for (const [from, to] of edges) { needs[from].push(to); neededBy[to].push(from); }
    const worker = new Worker(root.dataset.worker);
    worker.addEventListener("message", (message) => { worker.terminate(); ready(message); });
    worker.addEventListener("error", () => { says.textContent = "The graph cannot be drawn. The list below says the same."; });
    worker.postMessage({ nodes: nodes.map((one) => one.type), edges, dagre: new URL(root.dataset.dagre, location.href).href });
  }
  load().catch(() => { says.textContent = "The graph could not be loaded. Load the page again, or look at the list below."; });
})();
