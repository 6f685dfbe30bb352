//! What SQLite alone can be given.

use super::super::Error;
use super::*;

async fn refusal(content: &[u8]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, content).unwrap();
    let error = SqliteStore::open(&Options::new(&path)).await.unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), content, "what is not ours stays as it is");
    error
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused() {
    assert!(matches!(refusal(b"hello").await, Error::NotAStore { .. }));
    assert!(matches!(refusal(&[b'x'; 10_000]).await, Error::NotAStore { .. }));
    let mut damaged = b"SQLite format 3\0".to_vec();
    damaged.extend([7; 5000]);
    assert!(matches!(refusal(&damaged).await, Error::NotAStore { .. }));
}

#[tokio::test]
async fn another_program_s_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(SqliteStore::open(&Options::new(&path)).await.unwrap_err(), Error::NotAStore { .. }));
}

#[tokio::test]
async fn a_store_in_use_and_one_from_a_newer_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&Options::new(&path)).await.unwrap();
    assert!(matches!(SqliteStore::open(&Options::new(&path)).await.unwrap_err(), Error::InUse { .. }));
    store.close().await;
    drop(store);
    drop(SqliteStore::open(&Options::new(&path)).await.unwrap());
    let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&path)).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'later', 1, x'00', 0)";
    sqlx::query(later).execute(&pool).await.unwrap();
    pool.close().await;
    let error = SqliteStore::open(&Options::new(&path)).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 999, .. }), "{error}");
}
