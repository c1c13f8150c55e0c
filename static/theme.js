// Runs before the first paint, so that a chosen theme never flashes the other one and so that
// styles can tell whether scripts run at all. Everything else waits for app.js.
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off by policy; the system's theme is then the right one.
}
