//! Tables as CSV files. Rows are read and sent page by page, so the memory does not depend on their number.

use std::collections::BTreeSet;
use std::io;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use sweep_shapes::cells::{guard, setting};
use sweep_shapes::table::Tabular;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::extractors::OptionalCaller;
use super::parameters::Format;
use super::service::ApiService;
use crate::service::streams::{Kind, Permit};
use crate::web::permit_body;
use crate::web::problem::Problem;

/// Pieces that are buffered for a slow client.
const QUEUE: usize = 4;
/// The longest name of a file, in characters.
const MAX_NAME: usize = 80;

/// The permit for a CSV file, if the request asks for one. Every file counts as an export. Take the permit before reading rows.
///
/// # Errors
/// The limit of concurrent exports is reached.
pub(super) fn export_permit(
    service: &ApiService,
    format: Format,
    caller: &OptionalCaller,
) -> Result<Option<Permit>, Problem> {
    let OptionalCaller(caller) = caller;
    (format == Format::Csv).then(|| service.begin(Kind::Export, caller.as_ref())).transpose()
}

/// Rows, page after page.
pub(super) type Pages<T> = BoxStream<'static, Result<Vec<T>, Problem>>;

/// Rows that are in memory, as one page.
pub(super) fn one_page<T: Send + 'static>(rows: Vec<T>) -> Pages<T> {
    stream::iter([Ok(rows)]).boxed()
}

/// Pages that `next` reads one after the other, each with the key that the previous page returned.
pub(super) fn paged<S, K, T, F, A>(about: S, next: F) -> Pages<T>
where
    S: Clone + Send + 'static,
    K: Default + Send + 'static,
    T: Send + 'static,
    F: Fn(S, K) -> A + Clone + Send + 'static,
    A: Future<Output = Result<(Vec<T>, Option<K>), Problem>> + Send,
{
    let step = move |key: Option<K>| {
        let (about, next) = (about.clone(), next.clone());
        async move {
            let Some(key) = key else { return Ok(None) };
            next(about, key).await.map(Some)
        }
    };
    stream::try_unfold(Some(K::default()), step).boxed()
}

/// A table as a file. With settings, `pages` is called twice: the first pass collects the columns. `permit` is released when the
/// file is sent.
pub(super) fn csv<T: Tabular + Send + 'static>(
    name: &str,
    permit: Permit,
    pages: impl Fn() -> Pages<T> + Send + 'static,
    with_settings: bool,
) -> Response {
    let (pieces, stream) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        if let Err(problem) = send(&pieces, pages, with_settings).await {
            // The error aborts the response, so the client does not take the file for complete.
            let _ = pieces.send(Err(io::Error::other(problem.detail().to_owned()))).await;
        }
    });
    let disposition = attachment(name, "csv");
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"))];
    let body = Body::from_stream(ReceiverStream::new(stream));
    permit_body::attach((headers, [(header::CONTENT_DISPOSITION, disposition)], body).into_response(), permit)
}

type Pieces = mpsc::Sender<Result<Bytes, io::Error>>;

async fn send<T: Tabular>(pieces: &Pieces, pages: impl Fn() -> Pages<T>, with_settings: bool) -> Result<(), Problem> {
    let mut paths = BTreeSet::new();
    if with_settings {
        let mut walk = pages();
        while let Some(rows) = walk.next().await {
            for path in rows?.iter().filter_map(Tabular::settings).flat_map(|settings| settings.keys()) {
                if !paths.contains(path) {
                    paths.insert(path.clone());
                }
            }
        }
    }
    let columns = T::COLUMNS.iter().map(|column| (*column).to_owned());
    let mut records = vec![columns.chain(paths.iter().map(|path| guard(path))).collect::<Vec<_>>()];
    let mut walk = pages();
    loop {
        let Some(rows) = walk.next().await else { break };
        for row in rows? {
            let settings =
                paths.iter().map(|path| row.settings().and_then(|all| all.get(path)).map_or_else(String::new, setting));
            records.push(row.cells().into_iter().chain(settings).collect());
        }
        if pieces.send(Ok(encoded(std::mem::take(&mut records))?)).await.is_err() {
            return Ok(());
        }
    }
    if !records.is_empty() {
        let _ = pieces.send(Ok(encoded(records)?)).await;
    }
    Ok(())
}

fn encoded(records: Vec<Vec<String>>) -> Result<Bytes, Problem> {
    let failed = |error: csv::Error| Problem::from(crate::engine::Error::Internal(error.to_string()));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(record).map_err(failed)?;
    }
    let written = writer.into_inner();
    written.map(Bytes::from).map_err(|error| Problem::from(crate::engine::Error::Internal(error.to_string())))
}

/// The `Content-Disposition` of a download. Characters that are unsafe in a file name become dashes.
pub(super) fn attachment(name: &str, extension: &str) -> HeaderValue {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let name: String =
        name.chars().take(MAX_NAME).map(|character| if plain(character) { character } else { '-' }).collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "sweep" } else { name };
    let text = format!("attachment; filename=\"{name}.{extension}\"");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_valid_on_every_system() {
        for (name, expected) in [
            ("scene-cnn-3-trials", "scene-cnn-3-trials"),
            ("../../etc/passwd", "etc-passwd"),
            ("a\"; filename=\"b.exe\r\nSet-Cookie: x", "a---filename--b-exe--Set-Cookie--x"),
            ("名前", "sweep"),
            ("", "sweep"),
        ] {
            assert_eq!(attachment(name, "csv"), format!("attachment; filename=\"{expected}.csv\""), "{name}");
        }
    }
}
