//! A table of the page, with a caption and headers for rows and columns. On a phone each row becomes a card in which
//! every cell has the header of its column beside it, so that no column is beyond the screen.

use maud::{Markup, html};

use crate::tables::{Kind, Table, Tone};

pub(crate) fn table(table: &Table) -> Markup {
    html! {
        figure.table {
            div.scroll role="group" aria-label=(table.title) tabindex="0" {
                table.cards {
                    caption { (table.title) }
                    thead { tr {
                        @for column in &table.columns {
                            th scope="col" class=(class(column.kind, column.wide)) { (column.title) }
                        }
                    } }
                    tbody {
                        @for row in &table.rows {
                            tr class=[row.reference.then_some("reference")] {
                                @for (column, cell) in table.columns.iter().zip(&row.cells) {
                                    @let class = format!("{} {}", class(column.kind, column.wide), tone(cell.tone));
                                    @if column.kind == Kind::Name {
                                        th scope="row" class=(class) { (cell.text) }
                                    } @else {
                                        td class=(class) data-label=(column.title) { (cell.text) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if !table.notes.is_empty() {
                figcaption { @for note in &table.notes { p { (note) } } }
            }
        }
    }
}

fn class(kind: Kind, wide: bool) -> &'static str {
    match (kind, wide) {
        (Kind::Name, _) => "name",
        (Kind::Text, false) => "text",
        (Kind::Text, true) => "text wide",
        (Kind::Number, false) => "number",
        (Kind::Number, true) => "number wide",
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}
