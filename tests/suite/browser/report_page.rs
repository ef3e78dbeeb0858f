//! Report pages in a real browser: layout at three widths, both colour schemes, and print.

use super::devtools::{Browser, Page};
use crate::{environment::TestEnvironment, generated_journals};
use std::{fs, path::Path};

/// The luminance of the background, from 0 to 255; null if there is none, as on paper.
const BACKGROUND: &str = "(() => { const [r, g, b, a] = getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g); \
                          return a === '0' ? null : r * 0.3 + g * 0.6 + b * 0.1; })()";
/// The texts whose contrast with their background is below that of WCAG AA.
const POOR_CONTRAST: &str = "(() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return text.startsWith('color(') ? [...n.slice(0, 3).map(v => v * 255), n[3]] : n; };
  const light = ([r, g, b]) => { const f = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = one => { for (; one; one = one.parentElement) { const c = parse(getComputedStyle(one).backgroundColor); if (c[3] === undefined || c[3] > 0) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const one of document.querySelectorAll('body *:not(svg *)')) {
    const text = [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
    if (!text || one.classList.contains('hidden')) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push(`${one.tagName}.${one.className} ${text}: ${contrast.toFixed(2)}`);
  }
  return poor.join('\\n');
})()";

fn save(page: &mut Page, name: &str) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.png"));
    fs::write(file, page.screenshot()).unwrap();
}

/// Checks the layout at each width and in both schemes, and takes screenshots.
fn assert_layout(page: &mut Page, name: &str) {
    for (kind, width, dark) in
        [("light", 1280, false), ("dark", 1280, true), ("narrow", 390, false), ("narrow-dark", 390, true)]
    {
        page.set_appearance(width, 900, dark);
        page.until("document.readyState === 'complete'");
        let wide = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{name} {kind}: {wide} pixels in a window of {width}");
        let background = page.value(BACKGROUND).as_f64().unwrap();
        assert_eq!(dark, background < 60.0, "{name} {kind}: the background has luminance {background}");
        let poor = page.value(POOR_CONTRAST);
        assert_eq!(poor, "", "{name} {kind}: poor contrast");
        save(page, &format!("{name}-{kind}"));
    }
    page.print(794);
    let background = page.value(BACKGROUND);
    save(page, &format!("{name}-print"));
    assert!(background.is_null() || background.as_f64() > Some(200.0), "{name}: print is not dark");
    let wide = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= 794, "{name}: {wide} pixels on a page of 794");
    page.set_appearance(1280, 900, false);
}

fn open(browser: &Browser, env: &TestEnvironment, file: &str) -> Page {
    browser.open(&format!("file://{}", env.path().join(file).display()))
}

#[test]
fn reports_of_runs_have_a_sound_layout() {
    let Some(browser) = Browser::start() else {
        return eprintln!("skipped: chromium is not on this machine");
    };
    let env =
        TestEnvironment::at_speed("60").with("LANDFALL_SIM_FAULTS", "throttled@GET /virtualnetworks/*2");
    env.expect(0, &["up"]);
    env.expect(0, &["report", "-o", "ready.html"]);
    let mut page = open(&browser, &env, "ready.html");
    assert_layout(&mut page, "ready");
    // Every bar is inside of its track, and wide enough to be seen.
    let bars = "[...document.querySelectorAll('.bar')].every(svg => { const track = svg.getBoundingClientRect(); \
                return [...svg.querySelectorAll('rect')].every(rect => { const bar = rect.getBoundingClientRect(); \
                return bar.width >= 1 && bar.left >= track.left - 1 && bar.right <= track.right + 1; }); })";
    assert_eq!(page.value(bars), true);
    assert_eq!(page.value("document.querySelectorAll('.timeline tbody tr').length"), 19);
    assert_eq!(page.value("document.querySelectorAll('.timeline tr.critical').length > 2"), true);
    assert_eq!(page.value("getComputedStyle(document.querySelector('.diagram')).display"), "block");
    assert_eq!(page.value("document.querySelectorAll('h1').length"), 1);
    assert_eq!(page.value("document.scripts.length + performance.getEntriesByType('resource').length"), 0);

    let env =
        TestEnvironment::at_speed("60").with("LANDFALL_SIM_FAULTS", "operation-failed@/managedclusters/*9");
    assert_ne!(env.run(&["up"]).status.code(), Some(0));
    env.expect(0, &["report", "-o", "failed.html"]);
    let mut page = open(&browser, &env, "failed.html");
    assert_layout(&mut page, "failed");
    assert_eq!(page.value("document.querySelectorAll('.change.failed').length > 1"), true);
    assert!(page.console_errors().is_empty());
}

#[test]
fn a_report_of_two_hundred_environments_has_a_sound_layout() {
    let Some(browser) = Browser::start() else {
        return eprintln!("skipped: chromium is not on this machine");
    };
    let env = TestEnvironment::instant();
    generated_journals::write_fleet(&env, 200);
    env.expect(0, &["report", "--all", "-o", "fleet.html"]);
    let mut page = open(&browser, &env, "fleet.html");
    assert_layout(&mut page, "fleet");
    assert_eq!(page.value("document.querySelectorAll('ul.grid li').length"), 200);
    let bottom = "document.querySelector('#environments').getBoundingClientRect().bottom";
    assert!(page.value(bottom).as_f64().unwrap() < 1_300.0, "the grid is near the top");
    assert!(page.console_errors().is_empty());
}

#[test]
fn planted_markup_is_displayed_as_text() {
    let Some(browser) = Browser::start() else {
        return eprintln!("skipped: chromium is not on this machine");
    };
    let env = TestEnvironment::instant();
    generated_journals::write_injected(
        &env,
        "default",
        "\"><script>document.title = 'x'</script><b id=planted>",
    );
    env.expect(0, &["report", "-o", "run.html"]);
    let mut page = open(&browser, &env, "run.html");
    assert_eq!(page.value("document.scripts.length"), 0);
    assert_eq!(page.value("document.querySelector('#planted') === null && document.title !== 'x'"), true);
    page.set_appearance(390, 900, false);
    let wide = page.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= 390, "{wide} pixels: long names wrap");
}
