// What is written beside the graph: the facts about one resource, and the types with their colours.
window.graphWords = (() => {
  "use strict";
  const MOST_TYPES = 24; // in the legend
  const MOST_NEAR = 30; // resources of a list of facts

  // Control, bidirectional and invisible characters are shown as escapes.
  const odd = /[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/g;
  const harmless = (text) => text.replace(odd, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

  function part(name, text, attributes = {}) {
    const one = document.createElement(name);
    one.textContent = harmless(text);
    Object.assign(one, attributes);
    return one;
  }

  function legend(place, types, hues, sizes, choose) {
    place.replaceChildren(...types.slice(0, MOST_TYPES).map((type) => {
      const item = document.createElement("li");
      const button = part("button", "", { type: "button" });
      const sample = document.createElement("i");
      sample.style.background = hues.get(type);
      button.append(sample, `${harmless(type)} ${sizes.get(type)}`);
      button.addEventListener("click", () => choose(type));
      item.append(button);
      return item;
    }));
    if (types.length > MOST_TYPES) place.append(part("li", `and ${types.length - MOST_TYPES} other types`, { className: "quiet small" }));
  }

  function list(title, nodes, near, show) {
    if (!near.length) return [];
    const items = near.slice(0, MOST_NEAR).map((node) => {
      const item = document.createElement("li");
      const button = part("button", nodes[node].address, { type: "button" });
      button.addEventListener("click", () => show(node));
      item.append(button);
      return item;
    });
    if (near.length > MOST_NEAR) items.push(part("li", `and ${near.length - MOST_NEAR} more`));
    const whole = document.createElement("ul");
    whole.append(...items);
    return [part("h4", `${title} (${near.length})`), whole];
  }

  function facts(place, nodes, node, needs, neededBy, does) {
    const one = nodes[node];
    const close = part("button", "×", { type: "button", className: "close small" });
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", does.close);
    const open = part("a", one.instances === 1 ? "Open the resource" : `Open its ${one.instances} instances`, { href: does.address(one), className: "button small" });
    const way = document.createElement("p");
    way.append(open);
    const kind = `${one.data ? "Data source" : "Resource"} of ${one.module || "the root module"}`;
    place.replaceChildren(close, part("h3", one.address), part("p", kind), way, ...list("Depends on", nodes, needs, does.show), ...list("Needed by", nodes, neededBy, does.show));
  }

  return { harmless, legend, facts };
})();
