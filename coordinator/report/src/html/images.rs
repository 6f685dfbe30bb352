//! Predictions for single images: the pairs of classes that the best configuration confuses most, with examples, and
//! the images that most configurations get wrong.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::picture::Pictures;
use crate::summary::{Confusion, Image, Images};
use crate::view::View;
use crate::words::number::{self, percent};
use crate::words::plural;

const PAIRS: usize = 8;
const EXAMPLES: usize = 6;
const HARDEST: usize = 24;

/// The data of these sections.
pub(crate) struct Shown {
    images: Option<Images>,
    pictures: Pictures,
    /// The configuration whose confusions are shown: the best of those with a matrix.
    subject: Option<u32>,
    confusion: Option<Confusion>,
}

impl Shown {
    pub(crate) fn of(view: &View<'_>) -> Self {
        let images = Images::of(view);
        let order = view.analysis.standings.iter().filter_map(|standing| view.subject(standing.position));
        let found = order.filter_map(|subject| Some((subject.position, Confusion::of(view, subject)?))).next();
        let (subject, confusion) = found.unzip();
        let mut shown = Self { images, pictures: Pictures::default(), subject, confusion };
        if let Some(sheet) = &view.material.sheet {
            shown.pictures = Pictures::cut(sheet, &shown.wanted());
        }
        shown
    }

    fn wanted(&self) -> BTreeSet<usize> {
        let Some(images) = &self.images else { return BTreeSet::new() };
        let mut wanted: BTreeSet<usize> = images.hardest(HARDEST).0.iter().map(|image| image.index).collect();
        if let (Some(subject), Some(confusion)) = (self.subject, &self.confusion) {
            for (truth, said) in confusion.pairs(PAIRS) {
                wanted.extend(images.examples(subject, truth, said, EXAMPLES).iter().map(|image| image.index));
            }
        }
        wanted
    }

    fn picture(&self, image: &Image, said: &str) -> Markup {
        html! {
            @match self.pictures.data_url(image.index) {
                Some(url) => img src=(url) width="64" height="64" alt=(said) title=(said);,
                None => span.noimage title=(said) { "image " (image.index) },
            }
        }
    }

    pub(crate) fn pairs(&self, view: &View<'_>) -> Option<Markup> {
        let (subject, confusion) = (self.subject?, self.confusion.as_ref()?);
        let pairs = confusion.pairs(PAIRS);
        let baseline = view.baseline().filter(|baseline| baseline.position != subject);
        let baseline = baseline.and_then(|baseline| Confusion::of(view, baseline));
        let class = |class: usize| view.study.classes.get(class).map_or("?", String::as_str);
        (!pairs.is_empty()).then(|| html! {
            p {
                "Classes that " strong { (view.name(subject)) } " confuses, over "
                (plural(confusion.networks, "network")) ", with the most frequently confused images."
            }
            figure.table { div.scroll role="group" aria-label="Most confused pairs" tabindex="0" {
                table.pairs {
                    caption { "Most confused pairs" }
                    thead { tr {
                        th scope="col" class="name" { "True class" }
                        th scope="col" class="text" { "Predicted as" }
                        th scope="col" class="number" { "Share" }
                        @if baseline.is_some() { th scope="col" class="number" { "Baseline" } }
                        th scope="col" class="text" { "Examples" }
                    } }
                    tbody { @for (truth, said) in pairs { tr {
                        th scope="row" class="name" { (class(truth)) }
                        td.text { (class(said)) }
                        td.number { (confusion.share(truth, said).map_or_else(|| number::ABSENT.to_owned(), percent)) }
                        @if let Some(baseline) = &baseline {
                            td.number { (baseline.share(truth, said).map_or_else(|| number::ABSENT.to_owned(), percent)) }
                        }
                        td.examples {
                            @if let Some(images) = &self.images {
                                @for image in images.examples(subject, truth, said, EXAMPLES) {
                                    (self.picture(image, &format!("image {}: {}, predicted as {}", image.index, class(truth), class(said))))
                                }
                            }
                        }
                    } } }
                }
            } }
        })
    }

    pub(crate) fn hardest(&self, view: &View<'_>) -> Option<Markup> {
        let Some(images) = &self.images else {
            let any = !view.study.validations.is_empty();
            let note = "The trials were validated on different images, so single images cannot be compared.";
            return any.then(|| html! { p { (note) } });
        };
        let (hardest, count) = images.hardest(HARDEST);
        let class = |class: usize| view.study.classes.get(class).map_or("?", String::as_str);
        Some(html! {
            p {
                (number::count(count as u64)) " of " (number::count(images.all.len() as u64)) " validation images \
                were misclassified by more than half of the networks of most of the "
                (plural(images.configurations, "configuration")) "."
                @if count > hardest.len() { " The hardest " (hardest.len()) ":" }
            }
            @if self.pictures.len() == 0 && !hardest.is_empty() { p { "The sweep stored no pictures of the images." } }
            ul.images { @for image in hardest {
                @let said = format!("image {}: {}, mostly predicted as {}", image.index, class(image.label), class(image.taken_for));
                li {
                    (self.picture(image, &said))
                    span { strong { (class(image.label)) } " → " (class(image.taken_for)) }
                    span.quiet { "wrong in " (image.configurations) " of " (images.configurations) "; " (image.wrong) " of " (image.networks) " networks" }
                }
            } }
        })
    }
}
