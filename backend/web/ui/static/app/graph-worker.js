// Places the nodes of a graph, beside the page. What a node depends on is to its left.
"use strict";

const WIDTH = 230;
const HEIGHT = 42;
const ACROSS = 90; // between columns
const DOWN = 14; // between rows
const WIDEST = 16; // nodes of one column: dagre makes a taller picture than anybody can read
const MOST_FOR_DAGRE = 300;

onmessage = ({ data: { nodes, edges, dagre: address } }) => {
  const begun = performance.now();
  const joined = new Set(edges.flat());
  const columns = layers(nodes.length, edges, joined);
  const isSmall = joined.size <= MOST_FOR_DAGRE && Math.max(0, ...columns.map((one) => one.length)) <= WIDEST;
  const places = new Float32Array(nodes.length * 2);
  let lines = null;
  if (isSmall && joined.size) {
    importScripts(address);
    lines = withDagre(places, edges, joined);
  } else {
    inColumns(places, nodes, edges, columns);
  }
  below(places, nodes, joined);
  postMessage({ places, lines, width: WIDTH, height: HEIGHT, took: performance.now() - begun });
};

// The nodes by how many others have to be there before them.
function layers(count, edges, joined) {
  const needs = Array.from({ length: count }, () => []);
  const neededBy = Array.from({ length: count }, () => []);
  for (const [from, to] of edges) { needs[from].push(to); neededBy[to].push(from); }
  const left = needs.map((one) => one.length);
  const layer = new Int32Array(count);
  const ready = [...joined].filter((node) => left[node] === 0);
  for (let at = 0; at < ready.length; at += 1) {
    for (const next of neededBy[ready[at]]) {
      layer[next] = Math.max(layer[next], layer[ready[at]] + 1);
      left[next] -= 1;
      if (left[next] === 0) ready.push(next);
    }
  }
  const columns = [];
  for (const node of joined) (columns[layer[node]] ??= []).push(node);
  return Array.from(columns, (one) => one ?? []);
}

function withDagre(places, edges, joined) {
  const graph = new self.dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: DOWN, ranksep: ACROSS });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of joined) graph.setNode(String(node), { width: WIDTH, height: HEIGHT });
  edges.forEach(([from, to], place) => graph.setEdge(String(to), String(from), { place }, String(place)));
  self.dagre.layout(graph);
  for (const node of joined) {
    const { x, y } = graph.node(String(node));
    places[node * 2] = x - WIDTH / 2;
    places[node * 2 + 1] = y - HEIGHT / 2;
  }
  const lines = new Array(edges.length);
  for (const edge of graph.edges()) {
    const { place, points } = graph.edge(edge);
    lines[place] = points.flatMap(({ x, y }) => [x, y]);
  }
  return lines;
}

// Large graphs: a layer that is too long is several columns. Nodes are near what they depend on.
function inColumns(places, nodes, edges, columns) {
  const longest = Math.max(12, Math.ceil(Math.sqrt(nodes.length * 2.5)));
  const needs = new Map();
  for (const [from, to] of edges) needs.has(from) ? needs.get(from).push(to) : needs.set(from, [to]);
  let x = 0;
  for (const column of columns) {
    const wish = new Map(column.map((node) => {
      const rows = (needs.get(node) ?? []).map((to) => places[to * 2 + 1]);
      return [node, rows.length ? rows.reduce((sum, y) => sum + y, 0) / rows.length : 0];
    }));
    column.sort((one, other) => wish.get(one) - wish.get(other) || one - other);
    column.forEach((node, place) => {
      places[node * 2] = x + Math.floor(place / longest) * (WIDTH + DOWN * 2);
      places[node * 2 + 1] = (place % longest) * (HEIGHT + DOWN);
    });
    x += Math.ceil(column.length / longest) * (WIDTH + DOWN * 2) + ACROSS;
  }
}

// What has no edges is a block below the others.
function below(places, nodes, joined) {
  let [right, bottom] = [0, 0];
  for (const node of joined) {
    right = Math.max(right, places[node * 2] + WIDTH);
    bottom = Math.max(bottom, places[node * 2 + 1] + HEIGHT);
  }
  const alone = nodes.map((_, node) => node).filter((node) => !joined.has(node));
  const across = Math.max(Math.floor(right / (WIDTH + DOWN * 2)), Math.ceil(Math.sqrt(alone.length / 3)), 1);
  const top = bottom ? bottom + 4 * DOWN : 0;
  alone.forEach((node, place) => {
    places[node * 2] = (place % across) * (WIDTH + DOWN * 2);
    places[node * 2 + 1] = top + Math.floor(place / across) * (HEIGHT + DOWN);
  });
}
