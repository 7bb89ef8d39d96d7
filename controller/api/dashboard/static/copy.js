// Copy buttons: a click on [data-copy] copies its value, one on [data-copy-of] the text of the element with that id.
// The button shows a tick for a moment, and the status line of the page announces the copy to screen readers.
const tickTime = 1500; // milliseconds

// Copy without the clipboard API, which browsers offer only on localhost and with TLS.
function copySelected(text) {
  const area = document.createElement("textarea");
  const active = document.activeElement;
  area.value = text;
  area.className = "hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  active?.focus({ preventScroll: true });
  return isDone;
}

// Return whether it worked.
export async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

export function announce(text) {
  const line = document.getElementById("announcement");
  line.textContent = "";
  requestAnimationFrame(() => { line.textContent = text; }); // the same text again is announced again
}

export function bindCopy() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-of]");
    if (!button) return;
    const text = button.dataset.copy ?? document.getElementById(button.dataset.copyOf)?.textContent ?? "";
    if (!(await writeClipboard(text))) { announce("The browser does not allow copying."); return; }
    announce("Copied");
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), tickTime);
  });
}
