// Entry point of every page: local times, actions, forms, log and live updates. Each part does nothing if its element is missing.
import { showTimes, updateTimes } from "./times.js";
import { moveTimes } from "./calendar.js";
import { watch } from "./live.js";
import { rememberRegions } from "./regions.js";
import { bindActions } from "./actions.js";
import { bindBackfill } from "./backfill.js";
import { bindBulk } from "./bulk.js";
import { bindCopy } from "./copy.js";
import { bindForm } from "./quickrun.js";
import { bindKeys } from "./keys.js";
import { bindLog } from "./log.js";
import { bindPalette } from "./palette.js";

rememberRegions();
showTimes(document);
moveTimes(document);
updateTimes();
bindActions();
bindForm(document.getElementById("run-form"));
bindBackfill(document.getElementById("backfill-form"));
bindBulk(document.getElementById("bulk"));
bindCopy();
bindPalette(document.getElementById("palette"));
bindKeys(document.getElementById("keys"));
bindLog(document.getElementById("log"));
watch();
