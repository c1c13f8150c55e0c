// The keyboard and the command palette. Needs app.js.
"use strict";

let going = 0;
document.addEventListener("keydown", (event) => {
  const { key } = event;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "k" && $("#palette")) {
    event.preventDefault();
    return openPalette();
  }
  const typingNow = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey || typingNow || $("dialog[open]")) return;
  if (going > Date.now()) {
    going = 0;
    const link = $(`.sidebar a[data-key="${CSS.escape(key)}"]`);
    if (link) return link.click();
  }
  if (key === "g") going = Date.now() + 1500;
  else if (key === "/" && $("[data-search]")) {
    event.preventDefault();
    $("[data-search]").select();
    $("[data-search]").focus();
  } else if (key === "?") $("#keys")?.showModal();
});

function openPalette() {
  const dialog = $("#palette");
  if (!dialog || dialog.open) return;
  dialog.showModal();
  $("input", dialog).value = "";
  showFound([]);
}
on("click", "[data-palette]", openPalette);

/** Lists the pages of the sidebar that match, then what the server found. */
function showFound(found) {
  const input = $("#palette input");
  const query = input.value.trim().toLowerCase();
  const pages = $$(".sidebar a.nav-link")
    .map((link) => ({ label: ($("[data-label]", link) ?? link).textContent.trim(), kind: "Page", href: link.href }))
    .filter((page) => page.label.toLowerCase().includes(query));
  const options = [...pages, ...found].map(({ label, kind, href }, index) => {
    const option = Object.assign(document.createElement("li"), { id: `palette-${index}`, role: "option" });
    const note = document.createElement("small");
    note.textContent = kind;
    option.append(label, note);
    option.dataset.href = href;
    return option;
  });
  $("#palette [role=listbox]").replaceChildren(...options);
  select(0);
}

function select(index) {
  const options = $$("#palette [role=option]");
  options.forEach((option, i) => option.setAttribute("aria-selected", i === index));
  options[index]?.scrollIntoView({ block: "nearest" });
  $("#palette input").setAttribute("aria-activedescendant", options[index]?.id ?? "");
}

let asking;
on("input", "#palette input", async (_, input) => {
  showFound([]);
  asking?.abort();
  const asked = (asking = new AbortController());
  const query = input.value.trim();
  await sleep(150);
  if (!query || asked.signal.aborted) return;
  try {
    const response = await fetch(`/search?q=${encodeURIComponent(query)}`, { signal: asked.signal, headers: { Accept: "application/json" } });
    if (response.status === 401 || response.redirected) return location.reload();
    if (response.ok) showFound(await response.json());
  } catch {
    // Superseded by the next letter, or offline: the pages stay listed.
  }
});
on("keydown", "#palette input", (event) => {
  const options = $$("#palette [role=option]");
  const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) select((at + step + options.length) % options.length);
  else if (event.key === "Enter" && options[at]) location.assign(options[at].dataset.href);
  else return;
  event.preventDefault();
});
on("click", "#palette [role=option]", (_, option) => location.assign(option.dataset.href));
