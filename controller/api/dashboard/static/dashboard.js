// Entry point of every page: local times, actions, forms, log and live updates. Each part does nothing if its element is missing.
import { showTimes, updateTimes } from "./times.js";
import { moveTimes } from "./calendar.js";
import { rememberRegions, watch } from "./live.js";
import { bindActions } from "./actions.js";
import { bindBackfill } from "./backfill.js";
import { bindBulk } from "./bulk.js";
import { bindCopy } from "./copy.js";
import { bindFilter } from "./filter.js";
import { bindScatter } from "./scatter.js";
import { bindForm } from "./quickrun.js";
import { bindLog } from "./log.js";

rememberRegions();
showTimes(document);
moveTimes(document);
updateTimes();
bindActions(document);
bindForm(document.getElementById("run-form"));
bindBackfill(document.getElementById("backfill-form"));
bindBulk(document.getElementById("bulk"));
bindCopy();
bindFilter(document.querySelector("[data-filter]"));
bindScatter(document.getElementById("chart"));
bindLog(document.getElementById("log"));
watch();
