//! The files that pages load: one stylesheet, two scripts, an icon. They are compiled into the binary. Their names contain a
//! hash of their content, so browsers may cache them without limit.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One file, served from memory.
pub(crate) struct Asset {
    /// Its path on this server.
    pub(crate) path: String,
    kind: &'static str,
    content: String,
}

/// Every file that pages load.
pub(crate) struct Assets {
    pub(crate) style: Asset,
    pub(crate) morph: Asset,
    pub(crate) live: Asset,
    pub(crate) icon: Asset,
}

pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new(
        ("pages", "css", "text/css; charset=utf-8"),
        format!("{}{}", sweep_report::parts::STYLE, include_str!("assets/pages.css")),
    ),
    morph: Asset::new(
        ("idiomorph", "js", "text/javascript; charset=utf-8"),
        include_str!("assets/idiomorph.js").to_owned(),
    ),
    live: Asset::new(("live", "js", "text/javascript; charset=utf-8"), include_str!("assets/live.js").to_owned()),
    icon: Asset::new(("icon", "svg", "image/svg+xml"), include_str!("assets/icon.svg").to_owned()),
});

impl Asset {
    fn new((name, ending, kind): (&str, &str, &'static str), content: String) -> Self {
        let hash = blake3::hash(content.as_bytes()).to_hex();
        Self { path: format!("/assets/{name}-{}.{ending}", &hash[..12]), kind, content }
    }
}

/// Answers with the file of this name.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let Assets { style, morph, live, icon } = &*ASSETS;
    let wanted = |asset: &&Asset| asset.path.strip_prefix("/assets/") == Some(name.as_str());
    match [style, morph, live, icon].into_iter().find(wanted) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, asset.content.as_str()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendored_script_is_the_one_that_the_note_beside_it_names() {
        let note = include_str!("assets/README.md");
        let hash = blake3::hash(include_str!("assets/idiomorph.js").as_bytes()).to_hex();
        assert!(note.contains(hash.as_str()), "{hash}");
    }

    #[test]
    fn no_file_asks_for_another_one() {
        for asset in [&ASSETS.style, &ASSETS.morph, &ASSETS.live, &ASSETS.icon] {
            let text = asset.content.replace("http://www.w3.org/", "");
            for word in ["http:", "https:", "@import", "url("] {
                assert!(!text.contains(word), "{} has {word}", asset.path);
            }
        }
    }
}
