// The name of the person, which requests carry so that events and holds record it. It is kept in this browser only.
const key = "author";
const read = () => { try { return localStorage.getItem(key) ?? ""; } catch { return ""; } };

// The header of a request that changes something. Only scripts of this origin can set it.
export const authorHeader = () => (read() ? { "X-Controller-Author": encodeURIComponent(read()) } : {});

export function bindAuthor() {
  const button = document.getElementById("author-open");
  const dialog = document.getElementById("author");
  if (!button) return;
  const field = document.getElementById("author-name");
  const show = () => { button.textContent = read() || "Set your name"; };
  show();
  button.disabled = false;
  button.addEventListener("click", () => { field.value = read(); dialog.showModal(); });
  dialog.querySelector("form").addEventListener("submit", () => {
    const name = field.value.trim();
    try { name ? localStorage.setItem(key, name) : localStorage.removeItem(key); } catch { /* storage is not available: the author stays "dashboard" */ }
    show();
  });
}
