// The monitor of a training job: the stream says that there is more, and then the monitor alone is fetched, at most
// once a second. Without this script the page shows how things stood when it was opened.
(() => {
  const region = document.getElementById("monitor");
  if (!region?.dataset.stream) return;
  const address = region.dataset.stream;
  let timer = 0;
  let last = 0;
  let stream;

  async function refresh() {
    timer = 0;
    last = Date.now();
    const answer = await fetch(address + "/monitor", { headers: { "X-Live": "1" } }).catch(() => null);
    if (!answer?.ok) return;
    const fresh = document.createElement("div");
    fresh.innerHTML = await answer.text();
    Idiomorph.morph(region, fresh.innerHTML, {
      morphStyle: "innerHTML",
      callbacks: { beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") },
    });
    const log = document.getElementById("log");
    if (log && !log.matches(":focus, :hover")) log.scrollTop = log.scrollHeight;
  }

  const soon = () => (timer ||= setTimeout(refresh, Math.max(0, last + 1000 - Date.now())));

  function open() {
    if (stream || document.hidden) return;
    stream = new EventSource("/api/v1" + address + "/stream?brief=true");
    for (const name of ["points", "log", "state"]) stream.addEventListener(name, soon);
  }
  function close() {
    stream?.close();
    stream = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : (open(), soon())));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && (open(), soon()));
  open();
})();
