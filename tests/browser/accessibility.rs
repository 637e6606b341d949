//! What axe-core finds: <https://github.com/dequelabs/axe-core>. Its script is not part of this repository; the variable
//! `SPINDLE_AXE` names it (`npm install axe-core`, then `node_modules/axe-core/axe.min.js`). `scripts/check.sh` sets it.

use crate::folder::Shared;
use crate::tab::Tab;

#[test]
fn axe_finds_no_violation() {
    let Some(script) = std::env::var_os("SPINDLE_AXE") else {
        println!("skipped: SPINDLE_AXE does not name axe.min.js");
        return;
    };
    let Some(mut tab) = Tab::start() else { return };
    let script = std::fs::read_to_string(script).expect("the script of axe-core");
    let shared = Shared::start_with(&["--uploads", "create"]);
    shared.fill();
    shared.put("Photos 2026/Iceland/\"><script>alert(1)<.txt", "");
    std::fs::create_dir(shared.path().join("empty")).expect("a folder");
    for (width, colours) in [(1000, "light"), (1000, "dark"), (360, "light"), (360, "dark")] {
        tab.show_as(width, 800, colours);
        for page in ["/", "/?sort=size&order=desc", "/Photos%202026/Iceland/", "/empty/"] {
            tab.open(&format!("{}{page}", shared.origin()));
            tab.evaluate(&format!("{script}\n;0"));
            let rules = tab.evaluate(
                "axe.run().then((found) => ({ passed: found.passes.length, failed: found.violations.map((rule) => \
                 rule.id + ': ' + rule.nodes.map((node) => node.html + ' ' + node.failureSummary).join('; ')) }))",
            );
            assert_eq!(rules["failed"], serde_json::json!([]), "{page} at {width} px, {colours}");
            assert!(rules["passed"].as_u64().is_some_and(|passed| passed > 10), "axe looked at nothing: {rules}");
        }
    }
}
