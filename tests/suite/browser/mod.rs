//! Pages in a real browser. Here the page of a served simulated cloud: display, clicks and fault arming.
//!
//! Screenshots are written to the folder that cargo keeps for tests.

mod devtools;
mod report_page;

use crate::{environment::TestEnvironment, sim};
use devtools::{Browser, Page};
use std::{fs, path::Path};

const ADVANCE: &str = "[data-advance=\"600\"]";

/// Takes a screenshot, and checks that nothing is wider than the window.
fn screenshot(page: &mut Page, name: &str, width: u32, dark: bool) {
    page.set_appearance(width, 1000, dark);
    page.until("document.readyState === 'complete'");
    let wide = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= u64::from(width), "{name}: {wide} pixels in a window of {width}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sim-page-{name}.png"));
    fs::write(file, page.screenshot()).unwrap();
}

fn text(page: &mut Page, place: &str) -> String {
    page.value(&format!("document.querySelector('{place}').innerText")).as_str().unwrap().to_owned()
}

#[test]
fn the_page_shows_the_state_moves_the_clock_and_arms_faults() {
    let Some(browser) = Browser::start() else {
        return eprintln!("skipped: chromium is not on this machine");
    };
    let env = TestEnvironment::at_speed("60");
    let (server, serving) = sim::serve(&env, &[]);
    let mut page = browser.open(serving["page"].as_str().unwrap());
    page.until("document.querySelector('#state').innerText.includes('0 resources')");
    assert!(text(&mut page, "#groups").contains("None yet"));
    screenshot(&mut page, "empty", 1280, false);

    let mut up = crate::running_process::RunningProcess::start(&env, &["up"]);
    up.until_step("started", "cluster-ready");
    page.until("document.querySelector('#operations progress')?.value > 0");
    screenshot(&mut page, "busy", 1280, false);
    let before = page.value("document.querySelector('#operations progress').value").as_f64().unwrap();
    page.until(&format!(
        "!document.querySelector('#operations progress') || document.querySelector('#operations progress').value > {before}"
    ));
    assert_eq!(up.end().status.code(), Some(0));
    page.until("document.querySelectorAll('#gateways a').length === 4");
    for name in ["httpbin-gateway", "echo-gateway", "Programmed", "127.0.0.1"] {
        assert!(text(&mut page, "#gateways").contains(name), "{name}");
    }
    assert!(text(&mut page, "#requests").contains("…/resourcegroups/rg-aks-istio-gateway-demo"));

    page.click(ADVANCE);
    page.until("document.querySelector('#pace').innerText.includes('10 s ahead')");

    page.value("document.querySelector('#fault').value = 'server-error'; document.querySelector('#fault').dispatchEvent(new Event('change'))");
    assert!(text(&mut page, "#about").contains("500"));
    page.click("#arm button");
    page.until("document.querySelector('#faults .list').innerText.includes('server-error')");
    env.expect(0, &["plan"]);
    page.until("document.querySelector('#requests .fault')?.innerText.includes('server-error')");
    page.until("document.querySelector('#faults .list').innerText.includes('None armed')");
    page.click("#arm button");
    page.until("document.querySelector('#faults .list button') !== null");
    page.click("#gateways summary");
    page.until("document.querySelector('#gateways details').open");
    assert!(text(&mut page, "#gateways details").contains("--connect-to"));
    screenshot(&mut page, "ready", 1280, false);
    screenshot(&mut page, "dark", 1280, true);
    screenshot(&mut page, "narrow", 360, false);
    page.set_appearance(1280, 1000, false);
    page.click("#faults .list button");
    page.until("document.querySelector('#faults .list').innerText.includes('None armed')");

    sim::end(server);
    page.until("document.querySelector('#state').className === 'lost'");
    let console_errors = page.console_errors();
    assert!(console_errors.is_empty(), "{console_errors:#?}");
}
