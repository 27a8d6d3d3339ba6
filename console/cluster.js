// The nodes that share the work, and which of them has which partition; moved by hand.

import { get, post } from "./api.js";
import { ago, announce, badge, count, cut, el, empty, failure, plural, replace, visible } from "./dom.js";

/** How often it is looked how things stand, in milliseconds. */
const REFRESH_MS = 2000;

/** How often while something that was asked for is under way. */
const MOVING_MS = 300;

function heads(names) {
  return el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name))));
}

/** What is told of a partition: its state for the style, and in words. */
function standing(one) {
  if (!one.isSettled) return ["moving", one.wanted ? `Moves to ${one.wanted}` : "Nobody can have it"];
  if (!one.pinnedTo) return ["good", "Settled"];
  return one.pinnedTo === one.owner ? ["pinned", "Moved by hand"] : ["away", `Waits for ${one.pinnedTo}`];
}

export async function clusterView(place, { me, canChange }) {
  // What concerns all accounts takes an admin token.
  const mayMove = canChange && me.accountId === undefined;
  const said = el("div", { class: "said" });
  const summary = el("p", { class: "summary" });
  const alone = el("div", {});
  const nodeNames = ["State", "Node", "Partitions", "Version", "Address", ...(mayMove ? ["Actions"] : [])];
  const partitionNames = ["State", "Partition", "Node", "Since", ...(mayMove ? ["Actions"] : [])];
  const nodeBody = el("tbody", {});
  const partitionBody = el("tbody", {});
  const tables = el(
    "div",
    { hidden: true },
    el("h2", {}, "Nodes"),
    el("table", { class: "rows cluster nodes" }, el("caption", { class: "visually-hidden" }, "Nodes"), heads(nodeNames), nodeBody),
    el("h2", {}, "Partitions"),
    el("table", { class: "rows cluster partitions" }, el("caption", { class: "visually-hidden" }, "Partitions, and which node has which"), heads(partitionNames), partitionBody),
  );
  replace(place, el("div", { class: "heading" }, el("h1", {}, "Cluster"), summary), said, alone, tables);
  const nodes = new Map();
  const partitions = new Map();
  let cluster;
  let timer;
  let left = false;

  /** Asks for something, and follows how it comes about. */
  async function run(button, path, body, text) {
    button.disabled = true;
    try {
      await post(path, body);
      replace(said, el("p", { class: "done" }, visible(text)));
      announce(text);
      await draw();
    } catch (error) {
      replace(said, failure(error));
    }
    button.disabled = false;
    if (document.activeElement === document.body) button.focus();
  }

  function nodeRow(name) {
    const row = el("tr", { "data-node": name }, nodeNames.map((column) => el(column === "Node" ? "th" : "td", { "data-label": column, scope: column === "Node" ? "row" : undefined })));
    replace(row.children[1], el("bdi", {}, cut(name, 80)));
    if (mayMove) {
      const button = el("button", { type: "button" });
      button.addEventListener("click", () => {
        const draining = !cluster.nodes.find((node) => node.name === name)?.isDraining;
        const text = draining ? `${name} gives its partitions to others.` : `${name} gets its share again.`;
        run(button, `/admin/v1/cluster/nodes/${encodeURIComponent(name)}`, { draining }, text);
      });
      replace(row.lastChild, el("div", { class: "actions" }, button));
    }
    return row;
  }

  function drawNode(node) {
    if (!nodes.has(node.name)) nodes.set(node.name, nodeRow(node.name));
    const row = nodes.get(node.name);
    const [state, , share, version, address] = row.children;
    replace(state, node.isDraining ? badge("behind", "Draining") : badge("good", "At work"));
    replace(share, count(node.partitions));
    replace(version, cut(node.version, 40));
    replace(address, node.url ? el("bdi", {}, cut(node.url, 120)) : el("span", { class: "none" }, "not shown"));
    if (mayMove) {
      const button = row.querySelector("button");
      const word = node.isDraining ? "Undo drain" : "Drain";
      button.textContent = word;
      button.setAttribute("aria-label", `${word} ${visible(cut(node.name, 60))}`);
    }
    return row;
  }

  function partitionRow(number) {
    const row = el("tr", { "data-partition": number }, partitionNames.map((column) => el(column === "Partition" ? "th" : "td", { "data-label": column, scope: column === "Partition" ? "row" : undefined })));
    replace(row.children[1], String(number));
    if (mayMove) {
      const button = el("button", { type: "button", "aria-label": `Move partition ${number}`, onclick: () => ask(number, button) }, "Move");
      replace(row.lastChild, el("div", { class: "actions" }, button));
    }
    return row;
  }

  function drawPartition(one) {
    if (!partitions.has(one.partition)) partitions.set(one.partition, partitionRow(one.partition));
    const row = partitions.get(one.partition);
    const [state, , owner, since] = row.children;
    const [kind, words] = standing(one);
    replace(state, badge(kind, visible(cut(words, 60))));
    replace(owner, one.owner ? el("bdi", {}, cut(one.owner, 80)) : el("span", { class: "none" }, "none"));
    replace(since, one.since ? el("time", { datetime: one.since, title: one.since }, ago(one.since)) : el("span", { class: "none" }, "never"));
    return row;
  }

  /** Asks where a partition is to go. */
  function ask(number, opener) {
    const one = cluster.partitions.find(({ partition }) => partition === number);
    const able = cluster.nodes.filter((node) => !node.isDraining);
    const where = el("select", { id: "move-to" }, el("option", { value: "" }, "Where the cluster wants it"), able.map((node) => el("option", { value: node.name }, visible(cut(node.name, 80)))));
    where.value = able.some((node) => node.name === one.pinnedTo) ? one.pinnedTo : "";
    const move = (event) => {
      event.preventDefault();
      const node = where.value || null;
      dialog.close();
      run(opener, `/admin/v1/cluster/partitions/${number}`, { node }, node ? `Partition ${number} moves to ${node}.` : `Partition ${number} is left to the cluster.`);
    };
    const dialog = el(
      "dialog",
      { class: "dialog", "aria-labelledby": "move-title" },
      el("h2", { id: "move-title" }, `Move partition ${number}`),
      el("p", { class: "hint" }, "What its sources send waits for a moment and goes on there; nothing is lost. It stays there for as long as the node lives and does not drain."),
      el(
        "form",
        { onsubmit: move },
        el("label", { for: "move-to" }, "To"),
        where,
        el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Move"), el("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      opener.focus();
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  function put(body, rows) {
    if (rows.length !== body.children.length || rows.some((row, index) => row !== body.children[index])) replace(body, rows);
  }

  async function draw() {
    cluster = await get("/admin/v1/cluster");
    const isAlone = cluster.engine === "sqlite";
    tables.hidden = isAlone;
    replace(alone, isAlone && empty("A single server", "This server does all the work. With ", el("code", {}, "store.engine = \"nats\""), ", several share it, and one takes over when another is gone."));
    if (isAlone) return;
    const moving = cluster.partitions.filter((one) => !one.isSettled).length;
    replace(summary, `${plural(cluster.nodes.length, "node")}, ${plural(cluster.partitions.length, "partition")}${moving ? `, ${count(moving)} on the way` : ", all settled"}`);
    put(nodeBody, cluster.nodes.map(drawNode));
    put(partitionBody, cluster.partitions.map(drawPartition));
  }

  /** Looks again and again, more often while something moves. */
  function follow() {
    const isMoving = cluster.partitions.some((one) => !one.isSettled);
    timer = setTimeout(async () => {
      if (!document.hidden) {
        try {
          await draw();
          if (said.querySelector(".failure[data-lost]")) replace(said);
        } catch (error) {
          const lost = failure(error);
          lost.dataset.lost = "";
          replace(said, lost);
        }
      }
      if (!left) follow();
    }, isMoving ? MOVING_MS : REFRESH_MS);
  }
  await draw();
  follow();
  return () => {
    left = true;
    clearTimeout(timer);
  };
}
