//! Cells, pages and log ends that are not what was written: never a panic, always either a name for it or a start.

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_store::check::{Report, check};
use sweep_store::checksum::TABLES;
use sweep_store::codes::AuditAction;
use sweep_store::record::{AttemptKey, AuditFilter, SweepPage};
use sweep_store::sqlite::SqliteStore;
use sweep_store::write::{Commit, Preparation};
use sweep_store::{Error, Store};

use crate::env::{Folder, Random, SWEEP, audit, fill, points, preparation};

async fn filled() -> Folder {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let artifact = folder.beside(".artifacts");
    let digest = sweep_spec::Digest::of(b"log").to_string();
    std::fs::create_dir_all(artifact.join(&digest[..2])).unwrap();
    std::fs::write(artifact.join(&digest[..2]).join(&digest), b"log").unwrap();
    folder
}

fn copy_artifacts(from: &Folder, to: &Folder) {
    let digest = sweep_spec::Digest::of(b"log").to_string();
    let place = |folder: &Folder| folder.beside(".artifacts").join(&digest[..2]).join(&digest);
    std::fs::create_dir_all(place(to).parent().unwrap()).unwrap();
    std::fs::copy(place(from), place(to)).unwrap();
}

async fn sql(folder: &Folder, text: &str) -> Result<u64, sqlx::Error> {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path())).await?;
    let done = sqlx::query(AssertSqlSafe(text.to_owned())).execute(&pool).await;
    pool.close().await;
    Ok(done?.rows_affected())
}

/// A process was killed while it changed a file that is not in write-ahead mode: a restored one at its first opening.
#[tokio::test]
async fn a_change_that_was_cut_off_is_rolled_back_by_a_check() {
    let folder = filled().await;
    let options = SqliteConnectOptions::new().filename(folder.path());
    let pool = SqlitePool::connect_with(options.journal_mode(SqliteJournalMode::Delete)).await.unwrap();
    let before = check_of(&folder.copy()).await;
    let mut change = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    // A cache of one page, so that the change is in the file before it is committed.
    for text in ["PRAGMA cache_size = 1", "UPDATE attempts SET log_tail = hex(zeroblob(100000))"] {
        sqlx::query(text).execute(&mut *change).await.unwrap();
    }
    let cut_off = folder.copy();
    std::fs::copy(folder.beside("-journal"), cut_off.beside("-journal")).unwrap();
    copy_artifacts(&folder, &cut_off);
    change.rollback().await.unwrap();
    pool.close().await;
    let content = |folder: &Folder| std::fs::read(folder.path()).unwrap();
    assert!(content(&cut_off) != content(&folder), "a part of the change is in the file");
    let reading = SqliteConnectOptions::new().filename(cut_off.path()).read_only(true);
    let read = async {
        let pool = SqlitePool::connect_with(reading).await?;
        sqlx::query("SELECT COUNT(*) FROM attempts").execute(&pool).await
    };
    assert!(
        read.await.unwrap_err().to_string().contains("readonly"),
        "a connection that only reads cannot roll it back"
    );
    let report = check_of(&cut_off).await;
    assert!(content(&cut_off) == content(&folder), "the file is as before the change");
    assert!(report.is_sound() && report.rows == before.rows, "{report}");
    assert!(!cut_off.beside("-journal").exists());
}

async fn check_of(folder: &Folder) -> Report {
    check(&folder.path()).await.unwrap()
}

#[tokio::test]
async fn a_sound_store_is_sound() {
    let folder = filled().await;
    let report = check(&folder.path()).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.layout, report.artifacts, report.acknowledged), (16, 1, Some(report.commits)));
    let rows = |table: &str| report.rows.iter().find(|(name, _)| name == table).unwrap().1;
    assert_eq!((rows("attempts"), rows("rounds"), rows("points"), rows("sweep_trials")), (4, 5, 5, 8));
    let store = folder.open().await;
    assert!(store.losses().is_empty());
    assert!(matches!(check(&folder.path()).await, Err(Error::InUse { .. })));
}

/// A submit writes its rows in pieces, each a transaction of its own. Power can fail between any two of them.
#[tokio::test]
async fn a_submit_that_was_cut_off_is_no_damage_and_goes_with_the_next_start() {
    let whole = preparation(SweepId(7), 20..23);
    let Preparation { sweep, stages, questions, configurations, stage_configurations, trials, .. } = whole;
    let (sweep, mut trials) = (Some(sweep.unwrap()), trials);
    let late = trials.split_off(2);
    let pieces = [
        Preparation { sweep, stages, ..Preparation::default() },
        Preparation { questions, ..Preparation::default() },
        Preparation { configurations, ..Preparation::default() },
        Preparation { stage_configurations, ..Preparation::default() },
        Preparation { trials, ..Preparation::default() },
        Preparation { trials: late, ..Preparation::default() },
    ];
    let folder = filled().await;
    let before = check(&folder.path()).await.unwrap();
    assert!(before.prepared.is_empty(), "{before}");
    for (cut, piece) in pieces.into_iter().enumerate() {
        let store = folder.open().await;
        store.prepare(&piece).await.unwrap();
        store.close().await;
        drop(store);
        // Each cut is looked at in a copy; the submit goes on in the store itself.
        let cut_off = folder.copy();
        copy_artifacts(&folder, &cut_off);
        let report = check(&cut_off.path()).await.unwrap();
        assert!(report.is_sound(), "cut {cut}: {report}");
        let [prepared] = report.prepared.as_slice() else { panic!("cut {cut}: {report}") };
        assert!(
            prepared.sweep == 7 && prepared.what.contains("the next start of a coordinator removes it"),
            "{report}"
        );
        let store = cut_off.open().await;
        store.load().await.unwrap();
        store.close().await;
        drop(store);
        let report = check(&cut_off.path()).await.unwrap();
        assert!(report.is_sound() && report.prepared.is_empty(), "cut {cut}: {report}");
    }
}

/// A configuration with trials that no stage has is damage, whatever was cut off.
#[tokio::test]
async fn a_configuration_with_trials_that_lost_its_stage_is_damage() {
    let folder = filled().await;
    sql(&folder, "DELETE FROM stage_configurations WHERE sweep = 1").await.unwrap();
    let report = check(&folder.path()).await.unwrap();
    assert!(report.to_string().contains("a configuration that has trials and is in no stage"), "{report}");
}

#[tokio::test]
async fn damage_is_named_with_its_table_its_row_and_what_to_do() {
    let folder = filled().await;
    sql(&folder, "UPDATE rounds SET reason = 'x' WHERE state = 1").await.unwrap();
    let error = folder.open().await.load().await.unwrap_err();
    let text = error.to_string();
    for part in ["`rounds`", "round 1 of trial", "--accept-loss", "copy of the store"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[tokio::test]
async fn an_artifact_that_is_gone_or_changed_is_found() {
    let folder = filled().await;
    let digest = sweep_spec::Digest::of(b"log").to_string();
    let place = folder.beside(".artifacts").join(&digest[..2]).join(&digest);
    std::fs::write(&place, b"lag").unwrap();
    let report = check(&folder.path()).await.unwrap();
    assert!(report.problems[0].what.contains("does not match its name"), "{report}");
    std::fs::remove_file(&place).unwrap();
    let report = check(&folder.path()).await.unwrap();
    assert!(!report.is_sound() && report.problems[0].place == "artifacts", "{report}");
}

/// Changes one cell of one row; says which, or `None` when the tables' own rules did not let it.
async fn change_a_cell(folder: &Folder, random: &mut Random) -> Option<String> {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path())).await.unwrap();
    let table = random.of(TABLES);
    let mut columns: Vec<&str> = table.key.to_vec();
    for group in table.groups {
        columns.extend_from_slice(group.columns);
        columns.push(group.sum);
    }
    let column = *random.of(&columns);
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", table.name)))
        .fetch_one(&pool)
        .await
        .unwrap();
    let number = random.below(count.max(1) as u64);
    let value = match random.below(5) {
        0 => "NULL".to_owned(),
        1 => format!("{}", random.next() as i64),
        2 => format!("{}", random.below(4)),
        3 => "'a text'".to_owned(),
        _ => format!("x'{:016x}'", random.next()),
    };
    sqlx::query("DROP TRIGGER IF EXISTS audit_is_not_rewritten").execute(&pool).await.unwrap();
    let key = table.key.join(", ");
    let text = format!(
        "UPDATE {name} SET {column} = {value} WHERE ({key}) IN (SELECT {key} FROM {name} ORDER BY {key} LIMIT 1 OFFSET {number}) \
         AND {column} IS NOT {value}",
        name = table.name
    );
    let done = sqlx::query(AssertSqlSafe(text.clone())).execute(&pool).await;
    pool.close().await;
    (done.ok()?.rows_affected() > 0).then_some(text)
}

#[tokio::test]
async fn a_changed_cell_is_found_and_a_store_without_it_starts() {
    let whole = filled().await;
    let (mut changed, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut random = Random(seed);
        let folder = whole.copy();
        let Some(text) = change_a_cell(&folder, &mut random).await else { continue };
        changed += 1;
        let said = check(&folder.path()).await;
        let report = said.unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
        let found = report.problems.iter().any(|problem| problem.what.contains("checksum"));
        // Numeric columns take a number for text that reads as one; such a cell is what it was.
        assert!(found || report.problems_found > 1, "seed {seed}: {text}\n{report}");
        match SqliteStore::open(&folder.options(false)).await {
            Ok(store) => {
                refused += u32::from(store.load().await.is_err());
                store.close().await;
            }
            Err(_) => refused += 1,
        }
        let store = SqliteStore::open(&folder.options(true)).await;
        let store = store.unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
        assert!(!store.losses().is_empty(), "seed {seed}: {text}");
        let loaded = store.load().await;
        let loaded = loaded.unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
        assert!(loaded.sweeps.len() <= 1);
        for sweep in store.sweeps(&SweepPage::newest(9)).await.unwrap() {
            store.replicates(sweep.id).try_collect::<Vec<_>>().await.unwrap();
            store.spec(sweep.id).await.unwrap().unwrap();
        }
        let filter = AuditFilter { limit: 1_000, ..AuditFilter::default() };
        let said = store.audit(&filter).await.unwrap();
        assert!(said.iter().any(|row| row.action == AuditAction::LossAccepted), "seed {seed}: {text}");
        store.close().await;
        drop(store);
        let report = check(&folder.path()).await.unwrap();
        let known = |what: &str| what.starts_with("a point that follows") || what.contains("cannot read");
        let left = report.problems.iter().filter(|problem| !known(&problem.what));
        assert_eq!(left.count(), 0, "seed {seed}: {text}\n{report}");
    }
    assert!(changed > 150 && refused > changed / 3, "{changed} {refused}");
}

#[tokio::test]
async fn a_changed_page_is_an_error_or_a_start_and_never_a_panic() {
    let whole = filled().await;
    let bytes = std::fs::read(whole.path()).unwrap();
    let (mut started, mut refused) = (0, 0);
    for seed in 0..200 {
        let mut random = Random(1_000 + seed);
        let folder = whole.copy();
        let mut changed = bytes.clone();
        for _ in 0..=random.below(8) {
            let place = random.below(changed.len() as u64) as usize;
            changed[place] ^= (1 << random.below(8)) as u8;
        }
        if random.below(8) == 0 {
            changed.truncate(random.below(bytes.len() as u64) as usize);
        }
        std::fs::write(folder.path(), &changed).unwrap();
        // Whatever is said: it is said.
        drop(check(&folder.path()).await);
        for accept_loss in [false, true] {
            match SqliteStore::open(&folder.options(accept_loss)).await {
                Ok(store) => match store.load().await {
                    Ok(_) => started += u32::from(accept_loss),
                    Err(_) => refused += u32::from(accept_loss),
                },
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += u32::from(accept_loss);
                }
            }
        }
    }
    assert!(started > 0 && refused > 0, "{started} {refused}");
}

#[tokio::test]
async fn a_log_that_ends_too_early_is_noticed() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    for number in 0..20 {
        let audit = vec![audit(number, format!("{number}"))];
        store.commit(&Commit { audit, points: points(2, 3..=30), ..Commit::default() }).await.unwrap();
    }
    // As after a power cut on a disk that lies: the log's end is not there, the file beside it is.
    let torn = folder.copy();
    let log = std::fs::File::options().write(true).open(torn.beside("-wal")).unwrap();
    log.set_len(log.metadata().unwrap().len() * 3 / 4).unwrap();
    drop(log);
    let Error::Behind { missing, acknowledged, .. } = SqliteStore::open(&torn.options(false)).await.unwrap_err() else {
        panic!("it should be noticed");
    };
    assert!(missing > 0 && missing < acknowledged, "{missing} of {acknowledged}");
    let report = check(&torn.path()).await.unwrap();
    assert!(
        report.problems.iter().any(|problem| problem.what.contains(&format!("last {missing} acknowledged commits"))),
        "{report}"
    );
    let store = SqliteStore::open(&torn.options(true)).await.unwrap();
    assert!(store.losses()[0].reason.contains("are missing from the file"), "{:?}", store.losses());
    store.load().await.unwrap();
    store.close().await;
    drop(store);
    assert!(torn.open().await.losses().is_empty(), "what was accepted is not said again");
}

#[tokio::test]
async fn a_store_that_was_removed_alone_is_not_made_anew_without_a_word() {
    let folder = filled().await;
    std::fs::remove_file(folder.path()).unwrap();
    for _ in 0..2 {
        let refused = SqliteStore::open(&folder.options(false)).await.unwrap_err();
        let Error::Missing { number, acknowledged, .. } = &refused else { panic!("{refused}") };
        assert_eq!((number.as_str(), *acknowledged > 0), (folder.beside(".acknowledged").to_str().unwrap(), true));
        assert!(!folder.path().exists(), "refusing makes no file");
    }
    std::fs::remove_file(folder.beside(".acknowledged")).unwrap();
    folder.open().await.load().await.unwrap();
}

#[tokio::test]
async fn a_store_that_vanishes_or_is_replaced_takes_no_commit_and_says_so() {
    for replaced in [false, true] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        let commit = Commit { audit: vec![audit(1, "x".into())], ..Commit::default() };
        store.commit(&commit).await.unwrap();
        store.check().await.unwrap();
        let elsewhere = folder.beside(".elsewhere");
        std::fs::rename(folder.path(), &elsewhere).unwrap();
        if replaced {
            std::fs::copy(&elsewhere, folder.path()).unwrap();
        }
        for error in [store.commit(&commit).await.unwrap_err(), store.check().await.unwrap_err()] {
            assert!(error.is_gone() && error.is_damage(), "{error}");
        }
        std::fs::rename(&elsewhere, folder.path()).unwrap();
        store.commit(&commit).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_beside_the_store_that_says_nothing_is_no_reason_to_stop() {
    for content in [None, Some(&b""[..]), Some(&b"SWEEPACK and nonsense 24"[..])] {
        let folder = filled().await;
        let place = folder.beside(".acknowledged");
        match content {
            None => std::fs::remove_file(&place).unwrap(),
            Some(content) => std::fs::write(&place, content).unwrap(),
        }
        let store = folder.open().await;
        store.commit(&Commit { audit: vec![audit(1, "x".into())], ..Commit::default() }).await.unwrap();
        store.close().await;
        drop(store);
        let report = check(&folder.path()).await.unwrap();
        assert_eq!(report.acknowledged, Some(report.commits), "it is written anew");
    }
}

#[tokio::test]
async fn the_audit_log_cannot_be_rewritten() {
    let folder = filled().await;
    for text in ["UPDATE audit SET detail = ''", "DELETE FROM audit"] {
        let error = sql(&folder, text).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[tokio::test]
async fn numbers_of_what_was_lost_are_not_given_again() {
    let folder = filled().await;
    sql(&folder, "UPDATE attempts SET worker = 'x', attempt = 9 WHERE key = 2").await.unwrap();
    sql(&folder, "UPDATE results SET seconds = 9 WHERE attempt = 1").await.unwrap();
    let store = SqliteStore::open(&folder.options(true)).await.unwrap();
    let loaded = store.load().await.unwrap();
    let sweep = &loaded.snapshot.sweeps[0];
    assert!(sweep.stages[0].1.iter().all(|wanted| wanted.history.attempts >= 2), "an attempt is gone");
    assert!(sweep.stages[0].1.iter().all(|wanted| wanted.history.known.is_none()), "its result is gone");
    let unbound = sweep.stages[0].1.len() - sweep.bound.len();
    assert_eq!(unbound, 2, "it runs again, and one was not bound before");
    assert!(store.points(AttemptKey(2)).await.unwrap().is_empty(), "no later attempt takes them for its own");
    assert_eq!(store.sweep(SWEEP).await.unwrap().unwrap().stages.len(), 2);
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path())).await.unwrap();
    let row = sqlx::query("SELECT origin, content FROM lost WHERE origin = 'attempts'").fetch_one(&pool).await.unwrap();
    assert!(row.get::<String, _>("content").contains("worker=x"), "the row is kept aside");
}
