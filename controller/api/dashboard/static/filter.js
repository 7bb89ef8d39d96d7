// Filters of lists: every change of the form changes the address and sends the event `filter`, upon which the lists are updated
// without a new page. Without scripts, the form has a button.
const pause = 250; // milliseconds after the last key
const single = ["deployment", "trigger", "tag", "revision", "backfill", "since", "until"];

// Return the filters of the Runs page in an address as the API names them.
export function filtersOf(search) {
  const parameters = new URLSearchParams(search);
  const filters = {};
  for (const name of single) if (parameters.get(name)) filters[name] = parameters.get(name);
  const range = parameters.get("range");
  if (range && range !== "custom") filters.since = range;
  if (parameters.getAll("state").length) filters.state = parameters.getAll("state");
  return filters;
}

function addressOf(form) {
  const parameters = new URLSearchParams();
  const range = form.elements.range?.value ?? "custom";
  for (const [name, value] of new FormData(form)) {
    const isHidden = range !== "custom" && (name === "since" || name === "until");
    if (value && name !== "range" && !isHidden) parameters.append(name, value);
  }
  if (range && range !== "custom") parameters.set("since", range);
  const text = parameters.toString();
  return location.pathname + (text ? `?${text}` : "");
}

// Return the address of a link that sorts the list or chooses a state, with the filters of the form: the list, which has the link,
// may still show earlier ones.
function addressOfLink(link, form) {
  const linked = new URL(link.href).searchParams;
  const address = new URL(addressOf(form), location.href);
  for (const name of ["sort", "state"]) {
    if (form.elements[name] && form.elements[name].type !== "hidden") continue;
    address.searchParams.delete(name);
    for (const value of linked.getAll(name)) address.searchParams.append(name, value);
  }
  return address.pathname + address.search;
}

export function bindFilter(form) {
  if (!form) return;
  let timer = 0;
  let shown = location.pathname + location.search;
  const apply = () => {
    clearTimeout(timer);
    const custom = form.querySelector("[data-custom]");
    if (custom) custom.hidden = form.elements.range.value !== "custom";
    const address = addressOf(form);
    if (address === shown) return;
    shown = address;
    history.replaceState(null, "", address);
    document.dispatchEvent(new Event("filter"));
  };
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(apply, event.target.matches("input:not([type=checkbox])") ? pause : 0);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-live] th a[href], nav.chips[data-live] a[href]");
    if (link && link.pathname === location.pathname) link.href = addressOfLink(link, form);
  }, true);
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  document.addEventListener("click", (event) => {
    for (const menu of form.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  form.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
