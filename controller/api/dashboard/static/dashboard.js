// Entry point of every page: local times, actions, forms and live updates. Each part does nothing if its element is missing.
import { showTimes, updateTimes } from "./times.js";
import { moveTimes } from "./calendar.js";
import { rememberRegions, watch } from "./live.js";
import { bindActions } from "./actions.js";
import { bindBackfill } from "./backfill.js";
import { bindBulk } from "./bulk.js";
import { bindForm } from "./quickrun.js";

rememberRegions();
showTimes(document);
moveTimes(document);
updateTimes();
bindActions(document);
bindForm(document.getElementById("run-form"));
bindBackfill(document.getElementById("backfill-form"));
bindBulk(document.getElementById("bulk"));
watch();
