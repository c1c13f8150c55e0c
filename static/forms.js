// Dialogs that have an address, and forms: filters, bulk selection, the deploy dialog.
// Needs app.js.
"use strict";

// ---- Dialogs ---------------------------------------------------------------------------------

let opener;

async function openModal(href, push = true) {
  let page;
  try {
    page = await fetchPage(href);
  } catch {
    // Falls through to a plain navigation, which shows the browser's own account of the failure.
  }
  const dialog = page && page.getElementById("modal");
  if (!dialog) return location.assign(href);
  $("#modal")?.remove();
  dialog.removeAttribute("open");
  document.body.append(dialog);
  if (push) history.pushState({ modal: true }, "", href);
  dialog.showModal();
  settle();
}

function closeModal() {
  const dialog = $("#modal");
  if (!dialog?.open) return;
  dialog.close();
  dialog.remove();
  const target = opener?.isConnected ? opener : opener?.id && document.getElementById(opener.id);
  target?.focus?.();
}

/** Leaves the dialog: back in history if a click opened it, else to the address it names. */
function leaveModal(dialog) {
  if (dialog.id !== "modal") return dialog.close();
  if (history.state?.modal) return history.back();
  const href = dialog.dataset.closeHref || pageUrl;
  closeModal();
  history.replaceState(null, "", href);
  touch(["*"]);
}

on("click", "a[data-modal]", (event, link) => {
  if (!plainClick(event)) return;
  event.preventDefault();
  if (!link.closest("dialog")) opener = link;
  openModal(link.href);
});
on("click", "[data-close]", (event, element) => {
  const dialog = element.closest("dialog");
  if (!dialog) return;
  event.preventDefault();
  leaveModal(dialog);
});
// A press on the backdrop closes, unless that would throw away something typed.
on("pointerdown", "dialog", (event, dialog) => {
  if (event.target !== dialog || $$("form[method=post] :is(input:not([type=hidden]), textarea)", dialog).some(isDirty)) return;
  event.preventDefault();
  leaveModal(dialog);
});
document.addEventListener("cancel", (event) => {
  if (!event.target.matches("dialog")) return;
  event.preventDefault();
  leaveModal(event.target);
}, true);
addEventListener("popstate", () => {
  if (history.state?.modal) return openModal(location.href, false);
  closeModal();
  if (withoutHash(location.href) !== pageUrl) visit(location.href);
});

// ---- Forms -----------------------------------------------------------------------------------

function formUrl(form, submitter) {
  const url = new URL(submitter?.formAction || form.action, location.href);
  const fields = [...new FormData(form, submitter)].filter(([, value]) => value !== "");
  url.search = new URLSearchParams(fields);
  return url.href;
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (submitter?.matches("[data-modal]")) {
    event.preventDefault();
    opener = submitter;
    return openModal(formUrl(form, submitter));
  }
  if (form.matches("[data-auto]")) {
    event.preventDefault();
    return visit(formUrl(form), "push");
  }
  if (form.method !== "post" || !submitter) return;
  if ("sent" in form.dataset) return event.preventDefault();
  form.dataset.sent = "";
  // After this event, or the button's own name and value would be missing from what is sent.
  setTimeout(() => {
    submitter.disabled = true;
    if (submitter.dataset.busy) submitter.textContent = submitter.dataset.busy;
  });
});
// A page brought back from memory holds spent buttons and old rows.
addEventListener("pageshow", (event) => event.persisted && location.reload());

let typing;
on("change", "form[data-auto] :is(select, input:not([type=search], [type=text]))", (_, field) => visit(formUrl(field.form), "push"));
on("input", "form[data-auto] :is([type=search], [type=text])", (_, field) => {
  clearTimeout(typing);
  typing = setTimeout(() => visit(formUrl(field.form), "replace"), 250);
});
on("click", "a[data-swap]", (event, link) => {
  if (!plainClick(event)) return;
  event.preventDefault();
  visit(link.href, "push");
});

const rowBoxes = (form) => $$("td.check input[type=checkbox]", form).filter((box) => !box.disabled);

function updateBulk() {
  for (const all of $$("input[data-check-all]")) {
    const boxes = rowBoxes(all.form);
    const count = boxes.filter((box) => box.checked).length;
    all.checked = count > 0 && count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
    for (const label of $$("[data-bulk-count]", all.form)) label.textContent = `${count} selected`;
    for (const button of $$(".bar-actions button", all.form)) button.disabled = count === 0 || "sent" in all.form.dataset;
  }
}
on("change", "input[data-check-all]", (_, all) => {
  for (const box of rowBoxes(all.form)) box.checked = all.checked;
  updateBulk();
});
on("change", "td.check input", updateBulk);

/** The deploy dialog: which dates show, and a button that says what it will do. */
function updateDeploy() {
  for (const form of $$("form[data-deploy]")) {
    const now = form.elements.mode?.value !== "schedule";
    for (const [selector, shown] of [[".when-now", now], [".when-schedule", !now]])
      for (const block of $$(selector, form)) {
        block.hidden = !shown;
        for (const field of $$("input, button", block)) field.disabled = !shown;
      }
    const chosen = $$("input[name=region_id]:checked", form);
    // A locked region waits for its approval, so "now" still only schedules it.
    const locked = chosen.filter((box) => "locked" in box.dataset).length;
    const direct = now ? chosen.length - locked : 0;
    const regions = (n) => `${n} ${n === 1 ? "region" : "regions"}`;
    for (const label of $$("[data-deploy-label]", form)) {
      const rest = chosen.length - direct;
      let text = direct ? `Deploy to ${regions(direct)}` : `Schedule ${regions(rest)}`;
      if (direct && rest) text += `, schedule ${rest}`;
      if (!chosen.length) text = now ? "Deploy" : "Schedule";
      label.textContent = text + ("override" in label.dataset ? " with override" : "");
      const button = label.closest("button");
      if (button) button.disabled = !chosen.length || "sent" in form.dataset;
    }
  }
}
on("change", "form[data-deploy] :is([name=mode], [name=region_id])", updateDeploy);
on("click", "[data-apply-date]", (event, button) => {
  event.preventDefault();
  const source = document.getElementById(button.dataset.applyDate);
  if (!source?.value) return source?.focus();
  for (const field of $$("tbody input[type=date]", button.form)) field.value = source.value;
});

const rendered = $("dialog#modal[open]");
if (rendered) {
  pageUrl = withoutHash(rendered.dataset.closeHref ?? location.href);
  rendered.removeAttribute("open");
  rendered.showModal();
  $("[aria-invalid=true]", rendered)?.focus();
}
document.addEventListener("refreshed", () => {
  updateBulk();
  updateDeploy();
});
