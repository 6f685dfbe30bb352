//! What PostgreSQL alone can be given: two coordinators, sessions that end, a server that goes away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection, Row};
use sweep_require::postgres::{Server, shared};
use tokio::sync::watch;

use super::{SWEEP, begin, finished, lease, page, points, preparation, started, trial};
use crate::codes::AttemptState;
use crate::copy::{Refused, Report, copy};
use crate::leadership::{Leadership, Led, Waiting};
use crate::location::Location;
use crate::postgres::durability::{self, Safety};
use crate::postgres::leader::Candidate;
use crate::record::AttemptKey;
use crate::sqlite::{Options, SqliteStore};
use crate::write::{Commit, Preparation};
use crate::{Error, Store};

async fn open(url: &str, address: &str) -> Result<Candidate, Error> {
    let place: Location = url.parse().unwrap();
    let name = place.to_string();
    let Location::Postgres(options) = place else { panic!("{name} is not a database") };
    Candidate::open(&options, name, address.to_owned(), Safety::Required).await
}

/// Waits until a new coordinator leads.
pub(super) async fn lead(url: &str, address: &str) -> Led {
    leads(&open(url, address).await.unwrap()).await
}

/// Waits until it leads; one that never will says why.
async fn leads(candidate: &Candidate) -> Led {
    let waiting = watch::Sender::new(Waiting::Looking);
    let led = tokio::time::timeout(Duration::from_secs(60), candidate.acquire(&waiting)).await;
    led.unwrap_or_else(|_| panic!("it does not lead: {:?}", *waiting.borrow()))
}

async fn session(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

/// Ends the term of whoever leads by the database's clock, as if it had not been renewed.
async fn expire(connection: &mut PgConnection) {
    run(connection, "UPDATE leader SET deadline = clock_timestamp() - interval '1 hour'").await;
}

/// A sweep of that many trials, begun.
async fn sweep_of(store: &dyn Store, trials: u64) {
    store.prepare(&preparation(SWEEP, 0..trials)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
}

#[tokio::test]
async fn one_leads_and_the_other_takes_over_when_its_time_is_over() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let first = lead(&url, "first:1").await;
    sweep_of(first.store.as_ref(), 2).await;
    let other = open(&url, "second:2").await.unwrap();
    let waiting = watch::Sender::new(Waiting::Looking);
    let mut seen = waiting.subscribe();
    let acquiring = tokio::spawn(async move { other.acquire(&waiting).await });
    let led = seen.wait_for(|now| matches!(now, Waiting::Led { address } if address == "first:1")).await.unwrap();
    drop(led);
    // Its keeper renews every second, so only somebody who stops it lets another in.
    let mut admin = session(&url).await;
    run(&mut admin, "UPDATE leader SET deadline = clock_timestamp() - interval '1 hour'").await;
    while !acquiring.is_finished() {
        expire(&mut admin).await;
        tokio::task::yield_now().await;
    }
    let second = acquiring.await.unwrap();
    let refused = first.store.commit(&started(0, 1)).await.unwrap_err();
    assert!(matches!(&refused, Error::Deposed { .. }), "{refused}");
    assert!(matches!(first.store.prepare(&Preparation::default()).await.unwrap_err(), Error::Deposed { .. }));
    assert!(matches!(first.store.load().await.unwrap_err(), Error::Deposed { .. }));
    first.lost.cancelled().await;
    assert!(second.store.attempts(lease(0).trial).await.unwrap().is_empty(), "it wrote nothing");
    second.store.commit(&started(0, 1)).await.unwrap();
    assert_eq!(second.store.attempts(lease(0).trial).await.unwrap().len(), 1);
    assert!(!second.lost.is_cancelled());
}

#[tokio::test]
async fn a_commit_after_the_term_says_who_leads() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let first = lead(&url, "first:1").await;
    sweep_of(first.store.as_ref(), 1).await;
    let mut admin = session(&url).await;
    run(&mut admin, "UPDATE leader SET term = term + 1, holder = 'x', address = 'second:2'").await;
    let refused = first.store.commit(&started(0, 1)).await.unwrap_err();
    // Either the commit found it or the renewal did, which does not know by whom.
    let by = match &refused {
        Error::Deposed { by } => by.as_str(),
        other => panic!("{other}"),
    };
    assert!(["", "second:2"].contains(&by), "{refused}");
}

/// A coordinator that is frozen in the middle of a transaction holds the row; nobody waits for it.
#[tokio::test]
async fn a_frozen_writer_is_not_waited_for() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let first = lead(&url, "first:1").await;
    let mut admin = session(&url).await;
    let row = sqlx::query("SELECT holder, term FROM leader").fetch_one(&mut admin).await.unwrap();
    let (holder, term): (String, i64) = (row.get("holder"), row.get("term"));
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let options = options.application_name(&format!("sweep {holder}"));
    let mut frozen = PgConnection::connect_with(&options).await.unwrap();
    run(&mut frozen, "BEGIN").await;
    run(&mut frozen, "SELECT term FROM leader WHERE id = 1 FOR KEY SHARE").await;
    run(&mut frozen, "INSERT INTO counters (name, value) VALUES ('frozen', 1)").await;
    // A renewal is not held up by it.
    expire(&mut admin).await;
    // Its store and its keeper go silent, as a frozen process does.
    drop(first);
    let second = lead(&url, "second:2").await;
    let now: i64 = sqlx::query_scalar("SELECT term FROM leader").fetch_one(&mut admin).await.unwrap();
    assert!(now > term);
    assert!(sqlx::query("COMMIT").execute(&mut frozen).await.is_err(), "its session was ended");
    let written: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM counters WHERE name = 'frozen'").fetch_one(&mut admin).await.unwrap();
    assert_eq!(written, 0);
    second.store.check().await.unwrap();
}

#[tokio::test]
async fn closing_lets_the_next_one_lead_at_once() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let first = lead(&url, "first:1").await;
    first.store.close().await;
    let mut admin = session(&url).await;
    let over = "SELECT deadline <= clock_timestamp() FROM leader";
    assert!(sqlx::query_scalar::<_, bool>(over).fetch_one(&mut admin).await.unwrap());
    assert!(first.lost.is_cancelled());
    lead(&url, "second:2").await;
}

/// Sessions are ended by the server at any moment of a commit: afterwards the batch is there whole or not at all, and said
/// again it counts once.
#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_is_whole_or_nothing() {
    const ROUNDS: u64 = 40;
    const POINTS: u64 = 500;
    let Some(server) = shared() else { return };
    let url = server.database();
    let led = lead(&url, "first:1").await;
    let store = led.store.as_ref();
    sweep_of(store, ROUNDS + 1).await;
    let mut admin = session(&url).await;
    let (mut failed, mut written) = (0, 0);
    let mut undisturbed = finished(ROUNDS, 1000);
    undisturbed.points = points(1000, 1..=POINTS);
    store.commit(&started(ROUNDS, 1000)).await.unwrap();
    let begun = std::time::Instant::now();
    store.commit(&undisturbed).await.unwrap();
    let usual = begun.elapsed();
    for round in 0..ROUNDS {
        let key = round as i64 + 1;
        again(store, &started(round, key)).await;
        let mut batch = finished(round, key);
        batch.points = points(key, 1..=POINTS);
        let end = async {
            // At any moment from before it begins to after it has ended.
            tokio::time::sleep(usual * u32::try_from(round).unwrap() / 30).await;
            // The writers alone: the one that keeps the right has run nothing but its own statements.
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sweep %' \
                       AND datname = current_database() AND query NOT LIKE '%leader SET deadline%'";
            run(&mut admin, end).await;
        };
        let (outcome, ()) = tokio::join!(store.commit(&batch), end);
        failed += usize::from(outcome.is_err());
        let found = store.points(AttemptKey(key)).await;
        let found = match found {
            Ok(found) => found,
            // A reader's session was ended too.
            Err(_) => store.points(AttemptKey(key)).await.unwrap(),
        };
        assert!([0, POINTS as usize].contains(&found.len()), "a part of a batch");
        assert!(outcome.is_err() || found.len() == POINTS as usize, "acknowledged and not there");
        written += usize::from(!found.is_empty());
        let attempt = store.attempts(lease(round).trial).await.unwrap().remove(0);
        assert_eq!(attempt.state == AttemptState::Succeeded, !found.is_empty(), "one without the other");
        again(store, &batch).await;
        again(store, &batch).await;
        assert_eq!(store.points(AttemptKey(key)).await.unwrap().len(), POINTS as usize);
    }
    eprintln!("{ROUNDS} commits under attack: {failed} failed, {written} were there nevertheless or acknowledged");
    assert!(failed > 0, "no session was ended in time: the test shows nothing");
    let rows = store.trials(&page(Vec::new())).await.unwrap();
    assert!(rows.iter().all(|row| row.result.is_some()));
    assert!(!led.lost.is_cancelled());
}

/// Commits until the pool has no session left that was ended.
async fn again(store: &dyn Store, commit: &Commit) {
    for _ in 0..10 {
        match store.commit(commit).await {
            Ok(()) => return,
            Err(error) if error.is_unreachable() => {}
            Err(error) => panic!("{}", crate::chain(&error)),
        }
    }
    panic!("no session lasts");
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let led = lead(&url, "first:1").await;
    sweep_of(led.store.as_ref(), 64).await;
    let writers = (0..64_u64).map(|seed| {
        let store = Arc::clone(&led.store);
        tokio::spawn(async move {
            let key = seed as i64 + 1;
            store.commit(&started(seed, key)).await?;
            store.commit(&finished(seed, key)).await
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let rows = led.store.trials(&page(Vec::new())).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.result.is_some()).count(), 64);
}

#[tokio::test]
async fn a_server_that_crashes_and_returns_has_everything() {
    let Some(server) = Server::start() else { return };
    let url = server.database();
    let led = lead(&url, "first:1").await;
    sweep_of(led.store.as_ref(), 2).await;
    led.store.commit(&started(0, 1)).await.unwrap();
    server.stop();
    let refused = led.store.commit(&finished(0, 1)).await.unwrap_err();
    assert!(refused.is_unreachable() || matches!(refused, Error::Deposed { .. }), "{}", crate::chain(&refused));
    led.lost.cancelled().await;
    let refused = open(&url, "second:2").await.err().unwrap();
    assert!(refused.is_unreachable(), "{}", crate::chain(&refused));
    server.start_again();
    let led = lead(&url, "first:1").await;
    assert_eq!(led.store.load().await.unwrap().attempts.len(), 1);
    led.store.commit(&finished(0, 1)).await.unwrap();
    assert_eq!(led.store.points(AttemptKey(1)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn text_with_a_character_that_the_database_does_not_take_is_kept_without_it() {
    let Some(server) = shared() else { return };
    let led = lead(&server.database(), "first:1").await;
    sweep_of(led.store.as_ref(), 1).await;
    led.store.commit(&started(0, 1)).await.unwrap();
    let mut end = finished(0, 1);
    end.attempts_ended[0].log_tail = "a\0b".into();
    led.store.commit(&end).await.unwrap();
    let attempt = led.store.attempts(trial(0).id().unwrap()).await.unwrap().remove(0);
    assert_eq!(attempt.log_tail, "a\u{fffd}b");
}

#[tokio::test]
async fn what_is_another_program_s_or_newer_is_refused() {
    let Some(server) = shared() else { return };
    let theirs = server.database();
    run(&mut session(&theirs).await, "CREATE TABLE theirs (a INTEGER)").await;
    assert!(matches!(open(&theirs, "a:1").await.err().unwrap(), Error::NotAStore { .. }));
    let newer = server.database();
    lead(&newer, "a:1").await.store.close().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'later', TRUE, '\\x00', 0)";
    run(&mut session(&newer).await, later).await;
    assert!(matches!(open(&newer, "a:1").await.err().unwrap(), Error::Newer { found: 999, .. }));
}

/// Tables and views of both databases, with their columns.
#[tokio::test]
async fn both_databases_have_the_same_layout() {
    let Some(server) = shared() else { return };
    let url = server.database();
    lead(&url, "a:1").await.store.close().await;
    let rows = sqlx::query(
        "SELECT table_name::text AS place, column_name::text AS name FROM information_schema.columns \
         WHERE table_schema = current_schema()",
    );
    let rows = rows.fetch_all(&mut session(&url).await).await.unwrap();
    let pair = |row: &sqlx::postgres::PgRow| (row.get::<String, _>("place"), row.get::<String, _>("name"));
    // SQLite's leader is its lock file.
    let theirs: BTreeSet<_> = rows.iter().map(pair).filter(|(table, _)| table != "leader").collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    SqliteStore::open(&Options::new(&path)).await.unwrap().close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query(
        "SELECT m.name AS place, c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
         WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'",
    );
    let rows = rows.fetch_all(&pool).await.unwrap();
    let ours: BTreeSet<_> = rows.iter().map(|row| (row.get::<String, _>(0), row.get::<String, _>(1))).collect();
    assert!(ours.len() > 100, "{ours:?}");
    assert_eq!(theirs, ours);
    let versions = "SELECT version FROM _sqlx_migrations ORDER BY version";
    let ours: Vec<i64> = sqlx::query_scalar(versions).fetch_all(&pool).await.unwrap();
    let theirs: Vec<i64> = sqlx::query_scalar(versions).fetch_all(&mut session(&url).await).await.unwrap();
    assert_eq!(theirs, ours);
}

/// Twice is as good as once, and two at once are as good as one.
#[tokio::test]
async fn the_layout_is_made_once() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let (one, two) = tokio::join!(open(&url, "a:1"), open(&url, "b:2"));
    one.unwrap();
    leads(&two.unwrap()).await.store.close().await;
    lead(&url, "c:3").await.store.check().await.unwrap();
}

async fn copied(from: &str, to: &str) -> Result<Report, Refused> {
    copy(&from.parse().unwrap(), &to.parse().unwrap()).await
}

/// There and back again: what is read is the same, and so are the checksums.
#[tokio::test]
async fn a_store_is_copied_to_the_other_database_and_back() {
    let Some(server) = shared() else { return };
    let (url, folder) = (server.database(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (from, back) = (path("from.db"), path("back.db"));
    let store = SqliteStore::open(&Options::new(&from)).await.unwrap();
    sweep_of(&store, 700).await;
    for seed in 0..3 {
        store.commit(&started(seed, seed as i64 + 1)).await.unwrap();
    }
    let mut end = finished(0, 1);
    end.attempts_ended[0].log_tail = "a\0b".into();
    store.commit(&end).await.unwrap();
    let refused = copied(&from, &url).await.unwrap_err();
    assert!(matches!(&refused, Refused::From { source: Error::InUse { .. }, .. }), "{refused}");
    store.close().await;
    drop(store);
    let there = copied(&from, &url).await.unwrap();
    let again = copied(&url, &back).await.unwrap();
    assert_eq!(there.tables, again.tables);
    let rows = |name: &str| there.tables.iter().find(|table| table.table == name).unwrap().rows;
    assert_eq!((rows("sweep_trials"), rows("points"), rows("results")), (700, 3, 1));
    for place in [&url, &back] {
        let refused = copied(&from, place).await.unwrap_err();
        assert!(matches!(&refused, Refused::NotEmpty { .. }), "{}", crate::chain(&refused));
    }
    let file = SqliteStore::open(&Options::new(&back)).await.unwrap();
    let loaded = file.load().await.unwrap();
    assert_eq!((loaded.attempts.len(), loaded.sweeps[0].trials.len(), loaded.last_attempt), (2, 700, 3));
    file.commit(&finished(1, 2)).await.unwrap();
    file.close().await;
    drop(file);
    let checked = crate::check::check(std::path::Path::new(&back)).await.unwrap();
    assert!(checked.is_sound(), "{checked}");
    let led = lead(&url, "first:1").await;
    let refused = copied(&url, &path("other.db")).await.unwrap_err();
    assert!(matches!(&refused, Refused::From { source: Error::InUse { .. }, .. }), "{refused}");
    let loaded = led.store.load().await.unwrap();
    assert_eq!((loaded.attempts.len(), loaded.sweeps[0].trials.len(), loaded.last_attempt), (2, 700, 3));
    led.store.commit(&finished(1, 2)).await.unwrap();
    let refused = copied(&path("none.db"), &url).await.unwrap_err();
    assert!(matches!(&refused, Refused::From { source: Error::Io { .. }, .. }), "{refused}");
    assert!(!folder.path().join("none.db").exists());
}

/// A server of this test's own, because its settings change.
#[tokio::test]
async fn a_server_that_can_lose_what_it_acknowledged_is_refused_unless_that_is_waived() {
    let Some(server) = Server::start() else { return };
    let url = server.database();
    let led = lead(&url, "here").await;
    sweep_of(led.store.as_ref(), 1).await;
    led.store.close().await;
    for setting in ["fsync", "full_page_writes"] {
        set(&server, &url, setting, "off");
        let refused = open(&url, "here").await.err().unwrap();
        let text = refused.to_string();
        assert!(matches!(&refused, Error::NotDurable { .. }), "{text}");
        assert!(text.contains(&format!("{setting} = off")) && text.contains("--allow-unsafe-database"), "{text}");
        let place: Location = url.parse().unwrap();
        let file = tempfile::tempdir().unwrap();
        let (name, Location::Postgres(options)) = (place.to_string(), &place) else { panic!("{place}") };
        let waived = Candidate::open(options, name, "here".to_owned(), Safety::Waived).await.unwrap();
        leads(&waived).await.store.close().await;
        // Such a database is read, and not filled.
        let copied = Location::File(file.path().join("copy.db"));
        copy(&place, &copied).await.unwrap();
        let filled: Location = server.database().parse().unwrap();
        assert!(matches!(copy(&copied, &filled).await, Err(Refused::To { source: Error::NotDurable { .. }, .. })));
        set(&server, &url, setting, "on");
    }
    leads(&open(&url, "here").await.unwrap()).await.store.close().await;
}

/// Changes a setting of the server, and waits until sessions have it.
fn set(server: &Server, url: &str, setting: &str, value: &str) {
    server.ask(url, &format!("ALTER SYSTEM SET {setting} = {value}"));
    server.ask(url, "SELECT pg_reload_conf()");
    while server.ask(url, &format!("SHOW {setting}")) != value {}
}

/// Whatever the server or the role says, a commit of ours waits for the disk; one that waits for more keeps doing so.
#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_role_says() {
    let Some(server) = shared() else { return };
    for (said, expected) in [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        let url = server.database();
        let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
        server.ask(&url, &format!("ALTER DATABASE {name} SET synchronous_commit = {said}"));
        let place: Location = url.parse().unwrap();
        let Location::Postgres(options) = &place else { panic!("{place}") };
        let writers = durability::writers(options, 1);
        let found: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&writers).await.unwrap();
        assert_eq!(found, expected);
        writers.close().await;
    }
}
