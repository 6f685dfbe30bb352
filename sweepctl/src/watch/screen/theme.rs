//! The styles: the terminal's own sixteen colours without black, white or backgrounds, so that they are readable on
//! dark and on light; only weights if colours are off.

use ratatui_core::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    coloured: bool,
}

impl Theme {
    pub(super) fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    fn colour(self, color: Color) -> Style {
        if self.coloured { Style::new().fg(color) } else { Style::new() }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Progress, and the selected item.
    pub(super) fn accent(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Waiting, or worth attention. Not yellow, which is unreadable on white.
    pub(super) fn notable(self) -> Style {
        self.colour(Color::Magenta)
    }

    /// The title of the active pane.
    pub(super) fn chosen(self) -> Style {
        self.accent().add_modifier(Modifier::BOLD)
    }

    /// A question or a lost connection, across the whole line.
    pub(super) fn alarm(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }
}
