// What the page can do besides being read: sort tables, say where a number of a table comes from, show where one is, and, where it is
// served, follow a run and the edits of the text. Without it nothing of the text is missing.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // ---- Tables ----

  /** Gives each column of a table a button that sorts by it. */
  function makeSortable(table) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head));
    }
    [...table.tBodies[0].rows].forEach((row, index) => (row.dataset.index = index));
  }

  /** Sorts by a column: up, then down, then as it was measured. Empty cells come last. */
  function sort(table, head) {
    const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
    const order = next === undefined ? "ascending" : next;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    if (order) head.setAttribute("aria-sort", order);
    const value = (row) => row.cells[head.cellIndex].dataset.value;
    const compare = (one, other) => {
      if (!order) return one.dataset.index - other.dataset.index;
      const [left, right] = [value(one), value(other)];
      if (left === "" || right === "") return (left === "") - (right === "");
      const isNumber = left !== "" && !isNaN(left) && !isNaN(right);
      const difference = isNumber ? left - right : left.localeCompare(right, "en", { numeric: true });
      return order === "ascending" ? difference : -difference;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  }

  /** Says where a number of a table comes from, as the appendix does for the numbers of the text. */
  function showAddress(cell) {
    const table = cell.closest("table");
    const head = table.tHead.rows[0].cells[cell.cellIndex];
    const row = cell.parentElement.dataset.row;
    const key = `${table.dataset.table}.${row}.${head.dataset.column}`;
    const box = document.getElementById("address");
    const list = document.createElement("dl");
    const facts = {
      means: head.title,
      exactly: cell.dataset.value === "" ? "an empty cell" : cell.dataset.value,
      file: `results/summary/${table.dataset.table.replace(".", "_")}.csv`,
      row,
      column: head.dataset.column,
      more: `experiments trace '${key}'`,
    };
    for (const [name, fact] of Object.entries(facts)) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = fact;
      list.append(term, text);
    }
    const title = document.createElement("p");
    title.textContent = cell.textContent;
    box.replaceChildren(title, list);
    box.showPopover();
    const [place, size] = [cell.getBoundingClientRect(), box.getBoundingClientRect()];
    const below = place.bottom + 6 + size.height < innerHeight;
    box.style.top = `${Math.max(8, below ? place.bottom + 6 : place.top - 6 - size.height)}px`;
    box.style.left = `${Math.max(8, Math.min(place.left, innerWidth - size.width - 8))}px`;
  }

  document.addEventListener("click", (event) => {
    const cell = event.target.closest?.("table[data-table] td.number");
    if (cell) showAddress(cell);
  });

  // ---- Where one is ----

  let spied = null;

  /** Marks the entry of the contents that the reader has come to. */
  function followReading() {
    spied?.disconnect();
    const entries = new Map();
    for (const link of document.querySelectorAll("#contents a")) {
      const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      if (target) entries.set(target, link);
    }
    const mark = () => {
      let here = null;
      for (const [target, link] of entries) {
        if (target.getBoundingClientRect().top < innerHeight / 3) here = link;
      }
      for (const link of entries.values()) link.removeAttribute("aria-current");
      for (const item of document.querySelectorAll("#contents .here")) item.classList.remove("here");
      here?.setAttribute("aria-current", "location");
      for (let item = here?.closest("li"); item; item = item.parentElement.closest("li")) item.classList.add("here");
    };
    let isDue = false;
    const soon = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        mark();
      });
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    spied = {
      disconnect() {
        removeEventListener("scroll", soon);
        removeEventListener("resize", soon);
      },
    };
    mark();
  }

  function prepare() {
    document.querySelectorAll("table[data-table]").forEach(makeSortable);
    followReading();
  }

  prepare();
  if (!root.dataset.events) return;

  // ---- A page that is served: it follows the run and the edits ----

  const [live, trouble] = [document.getElementById("live"), document.getElementById("trouble")];
  let told = null;
  let isRenewing = false;

  /** Shows what a server has made anew, and leaves the reader at the same place. */
  async function renew() {
    const text = await (await fetch("/", { cache: "no-store" })).text();
    // The policy of this page admits neither another style nor another script.
    const isSame = (name) => text.includes(document.querySelector(name).textContent);
    if (!isSame("style") || !isSame("script")) return location.reload();
    const next = new DOMParser().parseFromString(text, "text/html");
    const landmarks = "main :is(h2, h3, figure)[id]";
    const above = [...document.querySelectorAll(landmarks)].filter((place) => place.getBoundingClientRect().top < 100);
    const place = above.at(-1);
    const before = place?.getBoundingClientRect().top;
    document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
    document.title = next.title;
    root.dataset.version = next.documentElement.dataset.version;
    prepare();
    const after = place && document.getElementById(place.id);
    if (after) scrollBy({ top: after.getBoundingClientRect().top - before, behavior: "instant" });
  }

  function showRun(run) {
    for (const badge of document.querySelectorAll("[data-state]")) {
      badge.dataset.own ??= badge.textContent;
      const isRunning = run?.step === badge.dataset.state;
      badge.textContent = isRunning ? "running" : badge.dataset.own;
      badge.className = `state ${badge.textContent}`;
    }
    const bar = live.querySelector("progress");
    bar.hidden = run?.share == null;
    bar.value = run?.share ?? 0;
  }

  function showTrouble(title, text) {
    trouble.hidden = !title;
    if (!title) return;
    const [head, body] = [document.createElement("p"), document.createElement("pre")];
    [head.textContent, body.textContent] = [title, text];
    trouble.replaceChildren(head, body);
  }

  function say(text) {
    live.hidden = !text;
    live.firstElementChild.textContent = text;
  }

  async function show(state) {
    told = state;
    if (isRenewing) return;
    isRenewing = true;
    try {
      // A state that came meanwhile may be of another page again.
      for (let seen = null; seen !== told; ) {
        seen = told;
        if (told.version && told.version !== root.dataset.version) await renew();
      }
    } finally {
      isRenewing = false;
    }
    showTrouble(told.error && "The last edit could not be shown; this is the page before it.", told.error);
    showRun(told.run);
    say(told.run ? `${told.run.step}: ${told.run.what}` : "");
  }

  const events = new EventSource(root.dataset.events);
  events.addEventListener("message", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => say("The notebook does not answer; start it again with `just notebook`."));
})();
