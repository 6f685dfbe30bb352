//! Settings with which a coordinator does not start, and submissions that it refuses.

use std::net::TcpListener;

use sqlx::{Connection, SqliteConnection};

use super::env::{Env, root};

#[test]
fn a_wrong_spec_makes_no_sweep() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let spec = root().join("tests/specs/wrong.yaml");
    let ran = env.sweepctl(["submit", spec.to_str().unwrap()]).expect_code(2);
    assert!(ran.stderr.contains("wrong.yaml:4:13: protocol.epoch: unknown key"), "{ran:?}");
    let list = env.sweepctl(["list", "--output", "json"]).expect_code(0).json();
    assert_eq!(list["sweeps"].as_array().unwrap().len(), 0);
}

#[test]
fn a_port_in_use_is_named() {
    let env = Env::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--listen-http"] {
        let ran = env.coordinator().with(flag, &address).run().expect_code(1);
        assert!(ran.stderr.contains(&address) && ran.stderr.contains("in use"), "{ran:?}");
    }
}

#[test]
fn an_address_that_others_reach_needs_a_word() {
    let env = Env::new();
    let ran = env.coordinator().with("--listen", "0.0.0.0:0").run().expect_code(2);
    assert!(ran.stderr.contains("--insecure"), "{ran:?}");
}

#[test]
fn a_store_that_is_no_database_is_refused_and_left_as_it_is() {
    let env = Env::new();
    let content = "this is no database at all\n".repeat(100);
    env.file("sweep.db", &content);
    let ran = env.coordinator().run().expect_code(1);
    assert!(ran.stderr.contains("sweep.db") && ran.stderr.contains("not a store"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(env.path("sweep.db")).unwrap(), content);
    let spec = root().join("tests/specs/tiny.yaml");
    let words = ["submit", spec.to_str().unwrap(), "--local", "--store", "sweep.db"];
    let ran = env.sweepctl(words).expect_code(1);
    assert!(
        ran.stderr.contains("not a store") && ran.stderr.contains("hint: use another file with --store"),
        "{ran:?}"
    );
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let env = Env::new();
    env.coordinator().start().kill();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", env.path("sweep.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'from the future', TRUE, x'00', 0)";
        sqlx::query(newer).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let ran = env.coordinator().run().expect_code(1);
    assert!(ran.stderr.contains("newer version"), "{ran:?}");
}

#[test]
fn a_store_has_one_coordinator() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let ran = env.coordinator().run().expect_code(1);
    assert!(ran.stderr.contains("in use by another"), "{ran:?}");
}
