//! A region at the end of a terminal's output that is redrawn; finished lines stay above it.

use super::{escape, progress_tree::Size, stream::Stream, text};
use std::io::Write;

/// Shows the cursor again; also used by an abrupt exit.
pub const SHOW_CURSOR: &str = "\x1b[?25h";

/// The region: replaces its previous output.
pub struct Region<W: Write + Send, S: Fn() -> Size + Send> {
    to: Stream<W>,
    size: S,
    /// Finished lines that are not printed yet.
    staying: Vec<String>,
    /// The width of each line of the region on the screen.
    drawn: Vec<usize>,
    hidden: bool,
}

impl<W: Write + Send, S: Fn() -> Size + Send> Region<W, S> {
    /// Creates an empty region on a terminal of that size.
    pub fn new(to: W, size: S) -> Self {
        Self { to: Stream::new(to), size, staying: Vec::new(), drawn: Vec::new(), hidden: false }
    }

    /// Returns the size of the terminal.
    pub fn size(&self) -> Size {
        (self.size)()
    }

    /// Adds a line that stays above the region, at the next draw.
    pub fn push(&mut self, line: String) {
        self.staying.push(line);
    }

    /// Returns whether lines wait for the next draw.
    pub fn has_new_lines(&self) -> bool {
        !self.staying.is_empty()
    }

    /// Replaces the screen region by the finished lines and a new region, in one write.
    pub fn draw(&mut self, region: &[String]) {
        const HIDE: &str = "\x1b[?25l";
        const CLEAR_BELOW: &str = "\x1b[J";
        let columns = (self.size)().columns.max(1);
        // A terminal that became narrower has rewrapped the old lines, so they now take more rows.
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
        let mut lines = String::new();
        for line in self.staying.drain(..).chain(region.iter().cloned()) {
            lines.push_str(&line);
            lines.push('\n');
        }
        self.drawn = region.iter().map(|line| text::width(line)).collect();
        self.to.raw(&format!("{text}{}", escape::terminal(&lines)));
    }

    /// Removes the region, and restores the screen.
    pub fn close(&mut self) {
        self.draw(&[]);
        self.show_cursor();
    }

    fn show_cursor(&mut self) {
        if std::mem::take(&mut self.hidden) {
            self.to.raw(SHOW_CURSOR);
        }
    }
}

impl<W: Write + Send, S: Fn() -> Size + Send> Drop for Region<W, S> {
    fn drop(&mut self) {
        self.show_cursor();
    }
}
