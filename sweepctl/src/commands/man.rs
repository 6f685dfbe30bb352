//! `sweepctl man`: writes a manual page per command, from the same definitions as the help.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl man ~/.local/share/man/man1 && man sweepctl-watch")]
pub(crate) struct Arguments {
    /// Folder to write the pages to, created if missing
    folder: PathBuf,
}

pub(crate) fn run(context: &Context, arguments: &Arguments, mut whole: Command) -> Result<Exit, Failure> {
    let failed = |path: &Path, error| Failure::failed(format!("cannot write {}", path.display())).because(error);
    std::fs::create_dir_all(&arguments.folder).map_err(|error| failed(&arguments.folder, error))?;
    // Propagates global arguments, and sets the names of subcommands.
    whole.build();
    let pages = pages(&whole)?;
    for (name, page) in &pages {
        let path = arguments.folder.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    context.output.say(&format!("wrote {} pages to {}", pages.len(), arguments.folder.display()));
    Ok(Exit::Success)
}

/// Every page, by its file name.
fn pages(command: &Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let text = page(command, &name).map_err(|error| Failure::internal("cannot create a manual page").because(error))?;
    let mut made = vec![(format!("{name}.1"), text)];
    for verb in verbs(command) {
        made.extend(pages(verb)?);
    }
    Ok(made)
}

/// The subcommands of a command, without clap's own `help`.
fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set())
}

fn page(command: &Command, name: &str) -> std::io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = parted(&after);
    let shown = command.clone().version(env!("CARGO_PKG_VERSION"));
    let man = Man::new(shown).title(name.to_uppercase()).source(format!("sweepctl {}", env!("CARGO_PKG_VERSION")));
    let man = man.manual("Sweep");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if !notes.is_empty() {
        text.extend(format!(".SH NOTES\n{}", roff(&notes, false)).into_bytes());
    }
    man.render_options_section(&mut text)?;
    if verbs(command).next().is_some() {
        man.render_subcommands_section(&mut text)?;
    }
    if !examples.is_empty() {
        text.extend(format!(".SH EXAMPLES\n.nf\n{}.fi\n", roff(&examples, true)).into_bytes());
    }
    if name == "sweepctl" {
        text.extend(ENVIRONMENT.as_bytes());
    }
    text.extend(see_also(command, name).into_bytes());
    Ok(text)
}

const ENVIRONMENT: &str = ".SH ENVIRONMENT\n\
    .TP\n\\fBSWEEP_COORDINATOR\\fR\nAddress of the coordinator, if \\fB\\-\\-coordinator\\fR is not given.\n\
    .TP\n\\fBSWEEP_TOKEN\\fR\nAccess token, if \\fB\\-\\-token\\-file\\fR is not given.\n\
    .TP\n\\fBSWEEP_TOKEN_FILE\\fR\nFile with the access token, if neither of these is given.\n\
    .TP\n\\fBSWEEP_CA_FILE\\fR\nCertificate of the coordinator's certificate authority, if \\fB\\-\\-ca\\-file\\fR is not given.\n\
    .TP\n\\fBSWEEP_LOG\\fR\nLog filter of \\fB\\-\\-local\\fR, such as \\fBinfo\\fR or \\fBsweep_worker=debug\\fR.\n\
    .TP\n\\fBNO_COLOR\\fR\nIf set, output has no colours.\n\
    .TP\n\\fBCOLUMNS\\fR\nWidth of tables.\n";

fn see_also(command: &Command, name: &str) -> String {
    let others: Vec<String> = match name.rsplit_once('-') {
        _ if verbs(command).next().is_some() => {
            verbs(command).map(|verb| verb.get_display_name().unwrap_or_else(|| verb.get_name()).to_owned()).collect()
        }
        Some((above, _)) => vec![above.to_owned()],
        None => return String::new(),
    };
    let named = others.iter().map(|other| format!("\\fB{}\\fR(1)", other.replace('-', "\\-")));
    format!(".SH SEE ALSO\n{}\n", named.collect::<Vec<_>>().join(", "))
}

/// The text before the examples, and the examples.
fn parted(after: &str) -> (Vec<String>, Vec<String>) {
    let lines: Vec<&str> = after.lines().collect();
    let begins = lines.iter().position(|line| matches!(line.trim(), "Example:" | "Examples:"));
    let Some(begins) = begins else { return (texts(&lines), Vec::new()) };
    // Examples are indented; an unindented line after them is a note again.
    let ends =
        lines[begins + 1..].iter().position(|line| !line.starts_with(' ')).map_or(lines.len(), |at| begins + 1 + at);
    let notes = [&lines[..begins], &lines[ends..]].concat();
    (texts(&notes), lines[begins + 1..ends].iter().map(|line| line.trim().to_owned()).collect())
}

fn texts(lines: &[&str]) -> Vec<String> {
    let whole: Vec<String> = lines.iter().map(|line| line.trim_end().to_owned()).collect();
    let first = whole.iter().position(|line| !line.is_empty()).unwrap_or(whole.len());
    let last = whole.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
    whole[first..last.max(first)].to_vec()
}

/// Escapes lines for roff.
fn roff(lines: &[String], literal: bool) -> String {
    let line = |line: &String| {
        if line.is_empty() && !literal {
            return ".PP\n".to_owned();
        }
        let text = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
        let guard = if text.starts_with('.') { "\\&" } else { "" };
        format!("{guard}{text}\n")
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use clap::CommandFactory;
    use sweep_require::Part;

    use super::*;
    use crate::arguments::Cli;

    fn all() -> Vec<(String, String)> {
        let mut whole = Cli::command();
        whole.build();
        let pages = pages(&whole).unwrap();
        pages.into_iter().map(|(name, page)| (name, String::from_utf8(page).unwrap())).collect()
    }

    #[test]
    fn every_verb_has_a_page_with_examples_and_a_way_to_the_others() {
        let pages = all();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["sweepctl.1", "sweepctl-watch.1", "sweepctl-workers-drain.1", "sweepctl-import-wandb.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for (name, page) in &pages {
            for part in [".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES", ".SH \"SEE ALSO\"", ".SH OPTIONS"] {
                let plain = part.replace('"', "");
                assert!(page.contains(part) || page.contains(&plain), "{name} has no {part}:\n{page}");
            }
            assert!(page.contains("sweepctl"), "{name}");
        }
    }

    #[test]
    fn man_renders_every_page_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        for (name, page) in all() {
            let path = folder.path().join(&name);
            std::fs::write(&path, page).unwrap();
            let groff = std::process::Command::new("groff")
                .args(["-K", "utf8", "-man", "-Tutf8", "-ww", "-z"])
                .arg(&path)
                .stdin(Stdio::null())
                .output();
            let Ok(groff) = groff else {
                sweep_require::skip(Part::Groff, "there is no groff on this machine; ci/install installs it");
                return;
            };
            let said = String::from_utf8_lossy(&groff.stderr).into_owned();
            assert!(groff.status.success() && said.is_empty(), "{name}: {said}");
        }
    }

    #[test]
    fn examples_are_told_apart_from_notes() {
        let (notes, examples) = parted("First.\n\nExamples:\n  a --b\n  c\n\nLast.");
        assert_eq!((notes.join("|"), examples.join("|")), ("First.|||Last.".to_owned(), "a --b|c".to_owned()));
        assert_eq!(roff(&[".x 'y'".to_owned()], true), "\\&.x \\(aqy\\(aq\n");
    }
}
