//! The tree on a terminal.
//!
//! Steps that are over become ordinary lines that scroll away; below them a region is drawn anew a few times a
//! second: steps at work, steps that wait, and one line on what is left. What the region looks like is a pure
//! function of board, time and size; the painter below only knows how to replace it.

use super::{
    Display,
    board::{Board, Row, State},
    estimate,
    paint::Paint,
    stream::Stream,
    words,
};
use landfall_engine::{Event, How, Pace, Progress, Undone};
use std::{
    io::Write,
    time::{Duration, SystemTime},
};

/// The widest a step's name is shown.
const NAME_MAX: usize = 16;
/// Room for `3 min 12 s` at the right.
const TIME_WIDTH: usize = 10;
/// Below this a detail says nothing, and the line is better without.
const DETAIL_MIN: usize = 12;
/// The widest and narrowest progress bar.
const BAR: std::ops::RangeInclusive<usize> = 6..=24;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

/// How a board is drawn.
#[derive(Clone, Copy)]
pub struct Look {
    /// Colours.
    pub paint: Paint,
    /// How much faster than life the cloud is.
    pub pace: Pace,
}

impl Look {
    /// Returns the line that stays for a step that is over.
    pub fn over(self, board: &Board, row: &Row, columns: usize) -> String {
        let name = words::name(row.info.id);
        let subject = words::subject(&row.info.title, &name);
        let (glyph, detail, elapsed) = match &row.state {
            State::Finished(how, elapsed) => {
                let detail = match how {
                    How::Found => subject.to_owned(),
                    _ => format!("{subject}, {}", words::how(*how)),
                };
                (self.paint.good("✓"), detail, Some(*elapsed))
            }
            State::Failed(elapsed) => {
                let after = format!("failed after {}", words::duration(*elapsed));
                (self.paint.bad("✗"), after, None)
            }

            State::Interrupted => {
                (self.paint.warn("!"), "interrupted; what it began goes on".to_owned(), None)
            }
            State::Undone(undone, elapsed) => {
                let detail = match undone {
                    Undone::Deleted => format!("{subject}, deleted"),
                    Undone::AlreadyGone => format!("{subject}, was gone already"),
                    Undone::GoesWithParent => format!("{subject}, went with what held it"),
                    Undone::Kept { why } => format!("{subject}, kept: {why}"),
                };
                let elapsed = (!matches!(undone, Undone::GoesWithParent)).then_some(*elapsed);
                (self.paint.good("✓"), detail, elapsed)
            }
            State::Blocked | State::Waiting | State::Looking | State::Working => return String::new(),
        };
        line(board, &glyph, &name, &detail, elapsed, columns)
    }

    /// Returns the region below the lines that stay.
    pub fn region(self, board: &Board, now: SystemTime, size: Size) -> Vec<String> {
        // One column and one row are left free: writing into the last one scrolls some terminals.
        let (columns, rows) = (size.columns.saturating_sub(1), size.rows.saturating_sub(2).max(1));
        let running = board.rows.iter().filter(|row| row.state.is_running());
        let mut lines: Vec<String> = running.map(|row| self.running(board, row, now, columns)).collect();
        let waiting: Vec<&Row> =
            board.rows.iter().filter(|row| matches!(row.state, State::Waiting)).collect();
        lines.truncate(rows);
        let room = rows - lines.len();
        let shown = if waiting.len() <= room { waiting.len() } else { room.saturating_sub(1) };
        for row in &waiting[..shown] {
            let awaited: Vec<String> = board.awaited(row).into_iter().map(words::name).collect();
            let detail = match awaited.is_empty() {
                true => String::new(),
                false => format!("after {}", awaited.join(", ")),
            };
            let name = words::name(row.info.id);
            let text = line(board, "·", &name, &detail, None, columns);
            lines.push(self.paint.dim(&text));
        }
        if shown < waiting.len() && room > 0 {
            lines.push(
                self.paint.dim(&words::cut(&format!("   … {} more wait", waiting.len() - shown), columns)),
            );
        }
        lines.push(self.bottom(board, now, columns));
        lines
    }

    fn running(self, board: &Board, row: &Row, now: SystemTime, columns: usize) -> String {
        let name = words::name(row.info.id);
        let elapsed = row.began.and_then(|began| now.duration_since(began).ok()).unwrap_or_default();
        let frame = usize::try_from(elapsed.as_millis() / 100).unwrap_or(0) % SPINNER.len();
        let room = detail_width(board, columns);
        let detail = match (&row.note, row.progress, &row.state) {
            (Some(note), Some(progress), _) => self.progress(note, progress, room),
            (Some(note), None, _) => note.clone(),
            (None, _, State::Looking) => "looking".to_owned(),
            (None, ..) => words::subject(&row.info.title, &name).to_owned(),
        };
        line(board, &self.paint.busy(SPINNER[frame]), &name, &detail, Some(elapsed), columns)
    }

    /// Returns `Creating ━━━━╸──── 83 s of about 280 s`, with as much bar as there is room for.
    fn progress(self, note: &str, progress: Progress, room: usize) -> String {
        let Some((state, figures)) = note.rsplit_once(", ").filter(|(_, end)| end.contains(" of about "))
        else {
            return note.to_owned();
        };
        let width = room.saturating_sub(words::width(state) + words::width(figures) + 2).min(*BAR.end());
        if !BAR.contains(&width) {
            return note.to_owned();
        }
        let usual = progress.usual.as_secs_f64();
        let share = if usual > 0.0 { (progress.so_far.as_secs_f64() / usual).min(1.0) } else { 1.0 };
        let full = (share * width as f64) as usize;
        let tip = usize::from(full < width);
        let bar = format!("{}{}", "━".repeat(full), "╸".repeat(tip));
        let rest = "─".repeat(width - full - tip);
        format!("{state} {}{} {figures}", self.paint.busy(&bar), self.paint.dim(&rest))
    }

    fn bottom(self, board: &Board, now: SystemTime, columns: usize) -> String {
        let left = estimate::left(board, self.pace, now);
        let mut text = format!(" {} of {}", board.done(), board.rows.len());
        if left.time >= Duration::from_secs(1) {
            text.push_str(&format!(" · about {} left", words::roughly(left.time)));
        }
        if !left.way.is_empty() {
            let way: Vec<String> = left.way.iter().map(|step| words::name(step)).collect();
            text.push_str(&format!(" · waiting on: {}", way.join(" → ")));
        }
        self.paint.strong(&words::cut(&text, columns))
    }
}

fn name_width(board: &Board) -> usize {
    let widest = board.rows.iter().map(|row| words::width(&words::name(row.info.id))).max();
    widest.unwrap_or(0).min(NAME_MAX)
}

fn detail_width(board: &Board, columns: usize) -> usize {
    columns.saturating_sub(3 + name_width(board) + 2 + TIME_WIDTH + 1)
}

fn line(
    board: &Board,
    glyph: &str,
    name: &str,
    detail: &str,
    elapsed: Option<Duration>,
    columns: usize,
) -> String {
    let head = format!(" {glyph} {}", words::pad(&words::cut(name, NAME_MAX), name_width(board)));
    let room = detail_width(board, columns);
    let time = elapsed.map(words::duration);
    if room < DETAIL_MIN {
        return words::cut(&format!("{head} {}", time.unwrap_or_default()), columns).trim_end().to_owned();
    }
    match time {
        Some(time) => format!("{head}  {} {time:>TIME_WIDTH$}", words::pad(&words::cut(detail, room), room)),
        // Where no time is shown, its room belongs to the detail.
        None => format!("{head}  {}", words::cut(detail, room + 1 + TIME_WIDTH)).trim_end().to_owned(),
    }
}

/// The painter: replaces the region on a terminal.
pub struct Live<W: Write + Send, S: Fn() -> Size + Send> {
    board: Board,
    look: Look,
    to: Stream<W>,
    size: S,
    /// Lines that stay and are not out yet.
    staying: Vec<String>,
    /// How wide each line of the region on the screen is.
    drawn: Vec<usize>,
    hidden: bool,
}

impl<W: Write + Send, S: Fn() -> Size + Send> Live<W, S> {
    /// Makes a display that writes to a terminal of that size.
    pub fn new(board: Board, to: W, size: S, look: Look) -> Self {
        let (staying, drawn) = (Vec::new(), Vec::new());
        Self { board, look, to: Stream::new(to), size, staying, drawn, hidden: false }
    }

    /// Replaces what is on the screen by the lines that stay and a new region, in one write.
    fn draw(&mut self, region: &[String]) {
        const HIDE: &str = "\x1b[?25l";
        const CLEAR_BELOW: &str = "\x1b[J";
        let columns = (self.size)().columns.max(1);
        // A terminal that became narrower has broken the old lines anew, so they now take more rows.
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        let mut text = String::new();
        if !self.hidden {
            text.push_str(HIDE);
            self.hidden = true;
        }
        if rows > 0 {
            text.push_str(&format!("\x1b[{rows}A"));
        }
        text.push('\r');
        text.push_str(CLEAR_BELOW);
        for line in self.staying.drain(..).chain(region.iter().cloned()) {
            text.push_str(&line);
            text.push('\n');
        }
        self.drawn = region.iter().map(|line| words::width(line)).collect();
        self.to.write(&text);
    }

    fn show_cursor(&mut self) {
        if std::mem::take(&mut self.hidden) {
            self.to.write(SHOW_CURSOR);
        }
    }
}

/// Brings the cursor back; for whoever has to leave in a hurry, too.
pub const SHOW_CURSOR: &str = "\x1b[?25h";

impl<W: Write + Send, S: Fn() -> Size + Send> Display for Live<W, S> {
    fn show(&mut self, event: &Event) {
        let Some(at) = self.board.take(event) else { return };
        let row = &self.board.rows[at];
        // What is blocked is told once, below the error that blocks it.
        if row.state.is_over() && !matches!(row.state, State::Blocked) {
            let columns = (self.size)().columns.saturating_sub(1);
            self.staying.push(self.look.over(&self.board, row, columns));
        }
    }

    fn say(&mut self, sentence: &str) {
        let columns = (self.size)().columns.saturating_sub(1);
        self.staying.push(self.look.paint.warn(&words::wrap(" ! ", sentence, columns)));
    }

    fn tick(&mut self, now: SystemTime) {
        if self.board.rows.is_empty() && self.staying.is_empty() {
            return;
        }
        let region = match self.board.rows.is_empty() {
            true => Vec::new(),
            false => self.look.region(&self.board, now, (self.size)()),
        };
        self.draw(&region);
    }

    fn close(&mut self) {
        self.draw(&[]);
        self.show_cursor();
    }
}

impl<W: Write + Send, S: Fn() -> Size + Send> Drop for Live<W, S> {
    fn drop(&mut self) {
        self.show_cursor();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    fn wide(columns: usize, rows: usize) -> impl Fn() -> Size + Send {
        move || Size { columns, rows }
    }

    fn drawn(columns: usize, rows: usize) -> String {
        let look = Look { paint: Paint::PLAIN, pace: Pace::new(60.0) };
        let mut board = Board::default();
        let mut lines = Vec::new();
        for event in fixture::events() {
            if let Some(at) = board.take(&event) {
                if board.rows[at].state.is_over() {
                    lines.push(look.over(&board, &board.rows[at], columns - 1));
                }
            }
        }
        lines.extend(look.region(&board, fixture::now(), Size { columns, rows }));
        let too_wide: Vec<&String> = lines.iter().filter(|line| words::width(line) >= columns).collect();
        assert!(too_wide.is_empty(), "{too_wide:?}");
        lines.join("\n")
    }

    #[test]
    fn the_tree_at_eighty_columns() {
        insta::assert_snapshot!(drawn(80, 24), @"
        ✓ preflight       14 checks                                              0.4 s
        ✓ resource group  rg-aks-istio-gateway-demo, created                     0.3 s
        ✓ key vault       kv-aks-istio-6743 in eastus, changed                   0.2 s
        ⠸ certificate     ForbiddenByRbac, trying again                          1.4 s
        ⠴ cluster ready   Creating ━━━━━╸────────────── 83 s of about 280 s      1.6 s
        · istio           after cluster ready
        · tls secret      after cluster ready, certificate
        · gateways        after istio, tls secret
        · dns             after gateways
        3 of 9 · about 5 s left · waiting on: cluster ready → istio → gateways → dns
        ");
    }

    #[test]
    fn the_tree_fits_a_narrow_terminal() {
        insta::assert_snapshot!(drawn(44, 24), @"
        ✓ preflight       14 checks          0.4 s
        ✓ resource group  rg-aks-istio…      0.3 s
        ✓ key vault       kv-aks-istio…      0.2 s
        ⠸ certificate     ForbiddenByR…      1.4 s
        ⠴ cluster ready   Creating, 83…      1.6 s
        · istio           after cluster ready
        · tls secret      after cluster ready, ce…
        · gateways        after istio, tls secret
        · dns             after gateways
        3 of 9 · about 5 s left · waiting on: clu…
        ");
        insta::assert_snapshot!(drawn(24, 24), @"
        ✓ preflight      0.4 s
        ✓ resource group 0.3 s
        ✓ key vault      0.2 s
        ⠸ certificate    1.4 s
        ⠴ cluster ready  1.6 s
        · istio
        · tls secret
        · gateways
        · dns
        3 of 9 · about 5 s le…
        ");
    }

    #[test]
    fn on_a_short_terminal_the_waiting_steps_are_counted() {
        insta::assert_snapshot!(drawn(80, 6), @"
        ✓ preflight       14 checks                                              0.4 s
        ✓ resource group  rg-aks-istio-gateway-demo, created                     0.3 s
        ✓ key vault       kv-aks-istio-6743 in eastus, changed                   0.2 s
        ⠸ certificate     ForbiddenByRbac, trying again                          1.4 s
        ⠴ cluster ready   Creating ━━━━━╸────────────── 83 s of about 280 s      1.6 s
        · istio           after cluster ready
          … 3 more wait
        3 of 9 · about 5 s left · waiting on: cluster ready → istio → gateways → dns
        ");
    }

    #[test]
    fn the_region_is_replaced_and_the_cursor_comes_back() {
        let mut written = Vec::new();
        {
            let look = Look { paint: Paint::PLAIN, pace: Pace::new(60.0) };
            let mut live = Live::new(Board::default(), &mut written, wide(80, 24), look);
            fixture::events().iter().for_each(|event| live.show(event));
            live.tick(fixture::now());
            live.say("Stopping.");
            live.tick(fixture::now());
            live.close();
        }
        let written = String::from_utf8(written).unwrap();
        let region = 7;
        assert_eq!(written.matches("\x1b[?25l").count(), 1);
        assert!(written.ends_with("\x1b[?25h"), "{written:?}");
        assert_eq!(written.matches(&format!("\x1b[{region}A")).count(), 2, "{written:?}");
        assert_eq!(written.matches("Stopping.").count(), 1);
    }

    #[test]
    fn a_terminal_that_became_narrower_is_cleared_as_far_as_its_lines_now_reach() {
        let columns = std::sync::atomic::AtomicUsize::new(80);
        let mut written = Vec::new();
        {
            let size = || Size { columns: columns.load(std::sync::atomic::Ordering::Relaxed), rows: 24 };
            let look = Look { paint: Paint::PLAIN, pace: Pace::new(60.0) };
            let mut live = Live::new(Board::default(), &mut written, size, look);
            fixture::events().iter().for_each(|event| live.show(event));
            live.tick(fixture::now());
            columns.store(40, std::sync::atomic::Ordering::Relaxed);
            live.tick(fixture::now());
        }
        let written = String::from_utf8(written).unwrap();
        // Of the seven lines all but two are wider than 40 columns and take two rows each.
        assert!(written.contains("\x1b[12A"), "{written:?}");
    }
}
