//! How things look: the terminal's own sixteen colours, none of them black, white or a background, so that it reads on dark
//! and on light; weight alone where colours are off.

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

    /// Progress, and what is chosen.
    pub(super) fn accent(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What waits, or wants to be looked at. Not yellow: that does not read on white.
    pub(super) fn notable(self) -> Style {
        self.colour(Color::Magenta)
    }

    /// A title of the pane that keys go to.
    pub(super) fn chosen(self) -> Style {
        self.accent().add_modifier(Modifier::BOLD)
    }

    /// A question or a loss, across the whole line.
    pub(super) fn alarm(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }
}
