//! Curves for other programs: folders for TensorBoard, and requests to an MLflow server. The server here gives the
//! answers that a test sets; `ci/exports` uses the real programs.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::canned::serve;
use super::transcript;

/// The transcript of an export that asks the canned coordinator.
fn exported(arguments: &[&str]) -> String {
    let address = serve().to_string();
    let whole = [&["export", "3"], arguments, &["--coordinator", address.as_str()]].concat();
    transcript(&whole).replace(&address, "ADDRESS")
}

#[test]
fn a_folder_for_each_trial_with_an_epoch_goes_to_tensorboard() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("curves");
    let arguments = ["--format", "tensorboard", "--out", out.to_str().unwrap()];
    for form in ["text", "json"] {
        let text = exported(&[&arguments[..], &["--output", form]].concat());
        let text = text.replace(folder.path().to_str().unwrap(), "FOLDER");
        insta::assert_snapshot!(format!("export_tensorboard_{form}"), text);
    }
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(&out), ["filters=64-seed1-abababababab"]);
    assert_eq!(names(&out.join("filters=64-seed1-abababababab")), ["events.out.tfevents.sweep"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = exported(&["--format", "tensorboard", "--out", file.path().to_str().unwrap()]);
    assert!(text.contains("exit code: 1") && text.contains("error: cannot write "), "{text}");
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_dialled() {
    let wrong = [
        &["--format", "tensorboard"][..],
        &["--format", "mlflow"],
        &["--format", "mlflow", "--to", "https://example"],
        &["--format", "mlflow", "--to", "http://example", "--out", "x"],
        &["--format", "mlflow", "--to", "http://example", "--points"],
        &["--format", "tensorboard", "--out", "x", "--experiment", "y"],
        &["--to", "http://example"],
    ];
    let mut all = String::new();
    for arguments in wrong {
        writeln!(all, "{}", exported(arguments)).unwrap();
    }
    insta::assert_snapshot!("export_wrong", all);
}

/// The answer to a request: a status and a body.
type Answer = fn(request: &str, number: usize) -> (u16, String);

/// An MLflow server with as much as these tests need; returns its address and the requests that arrive.
fn far_side(answer: Answer) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (asked, arrived) = channel();
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming().flatten() {
            // A client that leaves is none of this side's business.
            talk(stream, answer, &mut number, &asked).ok();
        }
    });
    (address, arrived)
}

fn talk(stream: TcpStream, answer: Answer, number: &mut usize, asked: &Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = format!("{} {}", first.trim_end_matches(" HTTP/1.1\r\n"), String::from_utf8_lossy(&body));
    let (status, body) = answer(&request, *number);
    *number += 1;
    asked.send(request).ok();
    let length = body.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// As a server answers that has nothing yet.
fn empty_server(request: &str) -> (u16, String) {
    let path = request.split([' ', '?']).nth(1).unwrap_or_default().trim_start_matches("/api/2.0/mlflow/");
    match path {
        "experiments/get-by-name" => {
            (404, r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no such experiment"}"#.into())
        }
        "experiments/create" => (200, r#"{"experiment_id":"5"}"#.into()),
        "runs/create" => (200, r#"{"run":{"info":{"run_id":"r1"}}}"#.into()),
        _ => (200, "{}".into()),
    }
}

fn to_mlflow(answer: Answer) -> (String, Vec<String>) {
    let (url, arrived) = far_side(answer);
    let text = exported(&["--format", "mlflow", "--to", &url]).replace(&url, "SERVER");
    (text, arrived.try_iter().collect())
}

#[test]
fn a_server_is_sent_a_run_for_each_trial_that_has_ended() {
    let (text, arrived) = to_mlflow(|request, _| empty_server(request));
    // A server is sent names as they are; whoever reads the snapshot should see them.
    let shown = arrived.join("\n").replace('\u{202e}', "\\u{202e}");
    insta::assert_snapshot!("export_mlflow", format!("{text}\n{shown}"));
}

#[test]
fn a_run_that_is_there_is_left_alone_and_an_unfinished_one_is_begun_anew() {
    let (text, arrived) = to_mlflow(|request, number| {
        let run = |id: &str, status: &str| format!(r#"{{"info":{{"run_id":"{id}","status":"{status}"}}}}"#);
        match (request.contains("runs/search"), number) {
            (true, 2) => (200, format!(r#"{{"runs":[{}]}}"#, run("whole", "FINISHED"))),
            (true, _) => (200, format!(r#"{{"runs":[{}]}}"#, run("half", "RUNNING"))),
            (false, _) => empty_server(request),
        }
    });
    assert!(text.contains("wrote 1 run, 0 epochs") && text.contains("; already there: 1 run"), "{text}");
    let verbs: Vec<&str> = arrived.iter().filter_map(|request| request.split(['/', ' ', '?']).nth(6)).collect();
    assert_eq!(verbs, ["get-by-name", "create", "search", "search", "delete", "create", "log-batch", "update"]);
    assert!(arrived[4].contains(r#"{"run_id":"half"}"#), "{arrived:?}");
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let (text, arrived) = to_mlflow(|request, number| match number {
        0 | 3 => (503, "<html>later</html>".into()),
        _ => empty_server(request),
    });
    assert!(text.contains("exit code: 0") && text.contains("wrote 2 runs, 2 epochs"), "{text}");
    assert_eq!([&arrived[0], &arrived[3]], [&arrived[1], &arrived[4]]);
}

#[test]
fn a_server_that_is_away_down_or_another_is_told_apart() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let url = format!("http://{nobody}");
    let mut all = exported(&["--format", "mlflow", "--to", &url]).replace(&url, "SERVER");
    let answers: [Answer; 4] = [
        |_, _| (500, "<html>broken</html>".into()),
        |_, _| (404, "<html>no such page</html>".into()),
        |_, _| (200, "hello".into()),
        |_, _| (400, r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"a \u001b[31mbad name"}"#.into()),
    ];
    for answer in answers {
        let (text, arrived) = to_mlflow(answer);
        writeln!(all, "\n{text}requests: {}", arrived.len()).unwrap();
    }
    insta::assert_snapshot!("export_mlflow_failures", all);
}
