//! The terminal: raw mode, the alternate screen, and drawing. Its state is always restored: at the end, when this is
//! dropped, and before a panic is printed.
//!
//! Ratatui's own backends are not used: the one for crossterm needs features of crates that Burn and tokio share, and
//! would build both twice. This file has everything that a screen of sixteen colours needs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use rustix::stdio::{stderr, stdin};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Enters the alternate screen, hides the cursor, and disables line wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The terminal's original state; there is one terminal.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Switches the terminal to raw mode and the alternate screen.
///
/// # Errors
/// It is not a terminal, or cannot be switched.
pub(super) fn take() -> io::Result<()> {
    let before = tcgetattr(stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
    });
    let mut held = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    *held = Some(before);
    write_whole(ENTER)
}

/// Restores the terminal, if it was switched.
pub(super) fn give_back() {
    let mut held = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = held.take() {
        // A terminal that is gone needs no reset.
        write_whole(LEAVE).ok();
        tcsetattr(stdin(), OptionalActions::Now, &before).ok();
    }
}

fn write_whole(text: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The drawing backend: collects a frame and writes it at once.
#[derive(Debug, Default)]
pub(super) struct Paper {
    frame: String,
    cursor: Position,
}

impl Backend for Paper {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut next: Option<(u16, u16)> = None;
        let mut look = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                write!(self.frame, "\x1b[{};{}H", y + 1, x + 1).map_err(io::Error::other)?;
            }
            let wanted = (cell.fg, cell.modifier);
            if look != Some(wanted) {
                self.frame.push_str(&look_of(wanted));
                look = Some(wanted);
            }
            self.frame.push_str(cell.symbol());
            // A wide letter moves the cursor by two columns; the position after it is not relied upon.
            next = cell.symbol().is_ascii().then_some((x + 1, y));
        }
        self.frame.push_str("\x1b[0m");
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.frame.push_str("\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        // The cursor is never shown.
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cursor = position.into();
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.frame.push_str("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, _clear_type: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(stderr())?;
        Ok(Size::new(size.ws_col, size.ws_row))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        // After the terminal was restored, nothing is drawn.
        let drawn = if held.is_some() { write_whole(&self.frame) } else { Ok(()) };
        self.frame.clear();
        drawn
    }
}

/// Colour and weight of the following text, from a reset.
fn look_of((color, modifier): (Color, Modifier)) -> String {
    let mut codes = "\x1b[0".to_owned();
    for (flag, code) in [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::ITALIC, ";3"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ] {
        if modifier.contains(flag) {
            codes.push_str(code);
        }
    }
    // The terminal's own sixteen colours, so that they suit its background.
    codes.push_str(match color {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Magenta => ";35",
        Color::Cyan => ";36",
        _ => "",
    });
    codes.push('m');
    codes
}

#[cfg(test)]
mod tests {
    use ratatui_core::style::Style;

    use super::*;

    #[test]
    fn a_frame_is_places_looks_and_letters() {
        let mut paper = Paper::default();
        let mut cells = ["a", "b", "語", "c"].map(|symbol| {
            let mut cell = Cell::default();
            cell.set_symbol(symbol);
            cell
        });
        cells[1].set_style(Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        let places = [(0, 0), (1, 0), (2, 0), (4, 0)];
        paper.draw(places.into_iter().zip(&cells).map(|((x, y), cell)| (x, y, cell))).unwrap();
        assert_eq!(paper.frame, "\x1b[1;1H\x1b[0ma\x1b[0;1;31mb\x1b[0m語\x1b[1;5Hc\x1b[0m");
        paper.flush().unwrap();
        assert!(paper.frame.is_empty(), "nothing was drawn, for nobody has taken the terminal");
    }
}
